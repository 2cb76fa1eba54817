"""Mails to people: plain text, and the same words as HTML."""

from collections.abc import Mapping

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string


def mail(name: str, to: str, link: str, context: Mapping[str, object]) -> EmailMultiAlternatives:
    """The mail of the templates ``<name>_subject.txt`` and ``<name>.txt``, not sent yet.

    The HTML part is made of the paragraphs of the text, so that the two cannot disagree; the paragraph that is
    ``link`` alone becomes a button.
    """
    context = {**context, "link": link}
    subject = " ".join(render_to_string(f"accounts/mail/{name}_subject.txt", context).split())
    text = render_to_string(f"accounts/mail/{name}.txt", context)
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    page = render_to_string("accounts/mail/page.html", {"subject": subject, "paragraphs": paragraphs, "link": link})
    message = EmailMultiAlternatives(subject, text, None, [to])
    message.attach_alternative(page, "text/html")
    return message
