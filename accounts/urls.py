"""Signing in and out."""

from django.contrib.auth import views
from django.urls import path, reverse_lazy

sign_in = views.LoginView.as_view(template_name="accounts/sign_in.html", redirect_authenticated_user=True)
password_change = views.PasswordChangeView.as_view(
    template_name="accounts/password_change.html", success_url=reverse_lazy("password-change-done")
)
password_change_done = views.PasswordChangeDoneView.as_view(template_name="accounts/password_change_done.html")

urlpatterns = [
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-out/", views.LogoutView.as_view(), name="sign-out"),
    path("password/", password_change, name="password-change"),
    path("password/done/", password_change_done, name="password-change-done"),
]
