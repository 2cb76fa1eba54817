"""The forms of second factors."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.forms import Styled

LONGEST_CREDENTIAL = 20_000
ONE_TIME = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}


class CodeForm(Styled, forms.Form):
    """Asks for a code of an app, or a recovery code."""

    code = forms.CharField(max_length=60, widget=forms.TextInput(attrs=ONE_TIME))


class CredentialForm(forms.Form):
    """What the browser answers about a passkey. A script fills in the field."""

    credential = forms.CharField(max_length=LONGEST_CREDENTIAL, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"auto_id": "passkey-%s"} | kwargs)

    def clean_credential(self) -> dict[str, Any]:
        """The object. A field for JSON would measure the object instead of the text, and fail at a number."""
        try:
            found: Any = json.loads(self.cleaned_data["credential"])
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ValidationError("This is no passkey.")
        return found


class PasskeyForm(Styled, CredentialForm):
    """The form for a new passkey."""

    name = forms.CharField(max_length=60, help_text="Where it is, such as “Laptop” or “Blue key”.")
    field_order = ("name", "credential")
