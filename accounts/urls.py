"""The addresses of the pages for signing in and out, for passwords, and for organizations."""

from django.contrib.auth import views
from django.urls import path

from accounts import (
    aliases,
    anonymising_page,
    audit_trail,
    confirmation,
    keys,
    members,
    organizations,
    passwords,
    projects,
    tokens,
)
from accounts.second_factor import pages as second_factor
from accounts.second_factor import sign_in
from accounts.single_sign_on import pages as single_sign_on
from accounts.views import SignInView, SignOutView

password_change_done = views.PasswordChangeDoneView.as_view(template_name="accounts/password_change_done.html")
forgotten_done = views.PasswordResetDoneView.as_view(template_name="accounts/password_forgotten_done.html")

urlpatterns = [
    path("sign-in/", SignInView.as_view(), name="sign-in"),
    path("sign-in/second/", sign_in.second_step, name="sign-in-second"),
    path("sign-in/passkey/", sign_in.by_passkey, name="sign-in-passkey"),
    path("sign-in/sso/", single_sign_on.go, name="sign-in-sso"),
    path("sign-in/sso/callback/", single_sign_on.come_back, name="sign-in-sso-callback"),
    path("sign-out/", SignOutView.as_view(), name="sign-out"),
    path("security/", second_factor.security, name="security"),
    path("security/confirm/", confirmation.confirm, name="confirm"),
    path("security/app/", second_factor.app_add, name="app-add"),
    path("security/app/remove/", second_factor.app_remove, name="app-remove"),
    path("security/passkey/", second_factor.passkey_add, name="passkey-add"),
    path("security/passkey/<int:pk>/remove/", second_factor.passkey_remove, name="passkey-remove"),
    path("security/recovery-codes/", second_factor.recovery_codes, name="recovery-codes"),
    path("security/sign-ins/end/", second_factor.sign_ins_end, name="sign-ins-end"),
    path("security/sign-ins/<int:pk>/end/", second_factor.sign_in_end, name="sign-in-end"),
    path("password/", passwords.ChangeView.as_view(), name="password-change"),
    path("password/done/", password_change_done, name="password-change-done"),
    path("password/forgotten/", passwords.ForgottenView.as_view(), name="password-forgotten"),
    path("password/forgotten/done/", forgotten_done, name="password-forgotten-done"),
    path("password/set/<uidb64>/<token>/", passwords.SetView.as_view(), name="password-set"),
    path("organizations/", organizations.organizations, name="organizations"),
    path("organizations/add/", organizations.organization_add, name="organization-add"),
    path("organizations/people/", members.people_without_organization, name="people"),
    path("organizations/keys/", keys.all_keys, name="all-keys"),
    path("organizations/audit/", audit_trail.whole_audit_trail, name="whole-audit-trail"),
    path("organization/", organizations.organization, name="organization"),
    path("organization/<int:pk>/members/", members.members, name="members"),
    path("organization/<int:pk>/members/invite/", members.member_invite, name="member-invite"),
    path("organization/<int:pk>/projects/", projects.projects, name="projects"),
    path("organization/<int:pk>/projects/add/", projects.project_add, name="project-add"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", tokens.token_revoke, name="token-revoke"),
    path("organization/<int:pk>/keys/", keys.keys, name="keys"),
    path("organization/<int:pk>/keys/add/", keys.key_add, name="key-add"),
    path("organization/<int:pk>/keys/groq/", keys.provider_key, name="provider-key"),
    path("organization/<int:pk>/keys/groq/remove/", keys.provider_key_remove, name="provider-key-remove"),
    path("organization/<int:pk>/settings/", organizations.organization_settings, name="organization-settings"),
    path("organization/<int:pk>/audit/", audit_trail.audit_trail, name="audit-trail"),
    path("organization/members/<int:pk>/", members.member, name="member"),
    path("organization/members/<int:pk>/role/", members.member_role, name="member-role"),
    path("organization/members/<int:pk>/deactivate/", members.member_deactivate, name="member-deactivate"),
    path("organization/members/<int:pk>/reactivate/", members.member_reactivate, name="member-reactivate"),
    path("organization/members/<int:pk>/link/", members.member_link, name="member-link"),
    path("organization/members/<int:pk>/sessions/", members.member_sessions_end, name="member-sessions-end"),
    path("organization/members/<int:pk>/factors/", members.member_factors_remove, name="member-factors-remove"),
    path("organization/members/<int:pk>/anonymise/", anonymising_page.member_anonymise, name="member-anonymise"),
    path("organization/members/<int:pk>/alias/", aliases.member_alias_remove, name="member-alias-remove"),
    path("organization/keys/<int:pk>/", keys.key, name="key"),
    path("organization/keys/<int:pk>/rotate/", keys.key_rotate, name="key-rotate"),
    path("organization/keys/<int:pk>/drop/", keys.key_drop_secret, name="key-drop-secret"),
    path("organization/keys/<int:pk>/revoke/", keys.key_revoke, name="key-revoke"),
    path("organization/projects/<int:pk>/", projects.project, name="project"),
    path("organization/projects/<int:pk>/alias/", aliases.project_alias_remove, name="project-alias-remove"),
]
