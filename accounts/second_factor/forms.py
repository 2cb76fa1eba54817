"""The forms of second factors."""

from typing import Any

from django import forms

from accounts.forms import Styled

LONGEST_CREDENTIAL = 20_000
ONE_TIME = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}


class CodeForm(Styled, forms.Form):
    """Asks for a code of an app, or a recovery code."""

    code = forms.CharField(max_length=60, widget=forms.TextInput(attrs=ONE_TIME))


class CredentialForm(forms.Form):
    """What the browser answers about a passkey. A script fills in the field."""

    credential = forms.JSONField(max_length=LONGEST_CREDENTIAL, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "passkey-%s"} | kwargs)


class PasskeyForm(Styled, CredentialForm):
    """The form for a new passkey."""

    name = forms.CharField(max_length=60, help_text="Where it is, such as “Laptop” or “Blue key”.")
    field_order = ("name", "credential")
