from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import confirmation, sign_in_log, sign_ins  # noqa: F401 - the imports register receivers
