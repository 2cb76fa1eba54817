"""The form for a question and the attribution of its call."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import Organization
from playground.choices import models_of
from playground.conversation import (
    MAX_HISTORY_LENGTH,
    MAX_MESSAGE_LENGTH,
    MAX_TURNS,
    History,
    Turn,
    is_session,
    new_session,
    read_history,
    write_history,
)

MAX_NAME = 200
SEND, FAIL, NEW = "send", "fail", "new"
"""The values of the form's buttons."""
UNKNOWN_MODEL = "no-such-model"
SETTINGS = ("model", "project", "template", "expert", "stream")
"""The fields that keep their values from one message to the next."""


def _name(label: str, **more: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={"class": "input", "autocomplete": "off", "spellcheck": "false", **more})
    return forms.CharField(label=label, max_length=MAX_NAME, required=False, widget=widget)


def _choice(label: str) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, required=False, widget=forms.Select(attrs={"class": "input"}))


class QuestionForm(forms.Form):
    """One message. The other buttons, for a deliberate error and a new conversation, need no message."""

    MAX_TURNS = MAX_TURNS
    NO_MODEL = "Choose a model. Those with a price that is enabled are offered."
    DELIBERATE_MESSAGE = "Hello, is there such a model?"

    action = forms.ChoiceField(choices=[(name, name) for name in (SEND, FAIL, NEW)])
    model = _choice("Model")
    project = _choice("Project")
    template = _name("Template", placeholder="none")
    expert = _name("Expert", placeholder="none")
    stream = forms.BooleanField(label="Stream the answer", required=False, initial=True)
    session = forms.CharField(required=False, widget=forms.HiddenInput)
    history = forms.CharField(
        required=False,
        max_length=MAX_HISTORY_LENGTH,
        widget=forms.HiddenInput,
        error_messages={"max_length": "The conversation is too long. Begin a new one."},
    )
    message = forms.CharField(
        label="Message",
        max_length=MAX_MESSAGE_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"class": "input", "rows": 2, "placeholder": "Ask something"}),
    )

    def __init__(self, organization: Organization, data: Any = None, **options: Any) -> None:
        super().__init__(data, auto_id="playground-%s", **options)
        self.organization = organization
        models, projects = models_of(organization), organization.projects.values_list("slug", "name")
        _offer(self, "model", [(name, name) for name in models])
        _offer(self, "project", [("", "No project"), *projects])
        if self.initial.get("model") is None and models:
            self.initial["model"] = models[0]

    def clean_session(self) -> str:
        session = str(self.cleaned_data["session"])
        return session if is_session(session) else new_session()

    def clean_history(self) -> History:
        try:
            return read_history(self.cleaned_data["history"])
        except ValueError:
            raise ValidationError("The conversation cannot be read. Begin a new one.") from None

    def clean_message(self) -> str:
        return str(self.cleaned_data["message"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("action") == SEND:
            if not (self.cleaned_data.get("message") or self.has_error("message")):
                self.add_error("message", "Write a message first.")
            if not (self.asked_model or self.has_error("model")):
                self.add_error("model", self.NO_MODEL)
        return self.cleaned_data

    @property
    def is_deliberate_error(self) -> bool:
        return bool(self.cleaned_data.get("action") == FAIL)

    @property
    def asked_model(self) -> str:
        if self.is_deliberate_error:
            return UNKNOWN_MODEL
        return str(self.cleaned_data.get("model") or "")

    @property
    def asked(self) -> History:
        """The conversation with the new message at its end."""
        message = self.DELIBERATE_MESSAGE if self.is_deliberate_error else self.cleaned_data["message"]
        return (*self.cleaned_data["history"], Turn("user", message))

    def after(self, history: History, message: str = "") -> "QuestionForm":
        """The form for the next message of this conversation, with the same settings."""
        return self._with(history, self.cleaned_data["session"], message)

    def new_conversation(self) -> "QuestionForm":
        self.is_valid()
        return self._with((), new_session(), "")

    def _with(self, history: History, session: str, message: str) -> "QuestionForm":
        initial = {name: self.cleaned_data.get(name) for name in SETTINGS}
        initial |= {"history": write_history(history), "session": session, "message": message}
        return QuestionForm(self.organization, initial=initial)


def _offer(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices
