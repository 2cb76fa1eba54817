"""What a call would cost, before anybody makes it."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from rest_framework.exceptions import PermissionDenied, Throttled
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.database import let_go_of_the_database
from accounts.rate import Rate
from analytics.reports.estimates import Estimate, Expected, Usages, estimates, usages_of
from analytics.reports.prices import PriceOf, prices_in_force
from analytics.reports.selection import Selection
from api.access import caller_of, viewer_of
from api.catalogue import NO_PRICES
from api.problems import WrongParameterError
from api.reading import Door
from api.shapes.estimates import EstimateQuestion, EstimatesShape
from pricing.catalogue import Catalogue, Key

LONGEST_PROMPT = 100_000
"""The longest prompt, in characters of JSON. To count this many takes each tokenizer some hundredths of a second."""
AMOUNTS = ("input_tokens", "cached_tokens", "audio_seconds", "characters")
PER_MINUTE = Rate(settings.ESTIMATES_PER_MINUTE)


class EstimateView(Door):
    """What a call would cost on each model, or on one: of messages, whose tokens are counted here and which are neither
    stored nor logged, or of amounts."""

    http_method_names = ["post", "options"]
    parser_classes = (JSONParser,)
    asks = EstimateQuestion
    tells = EstimatesShape
    tag = "Models and prices"

    @sensitive_variables("asked")
    def post(self, request: Request) -> Response:
        viewer = viewer_of(request)
        if not viewer.sees_pricing:
            raise PermissionDenied(NO_PRICES)
        if not PER_MINUTE.allows(caller_of(request)):
            raise Throttled(PER_MINUTE.seconds_left(), "You have asked for many estimates within a minute.")
        asked = _asked(request.data)
        today = timezone.now().date()
        prices, catalogue = prices_in_force(viewer, Selection(today, today)), Catalogue.load()
        if "model" in asked:
            prices = _only(prices, (asked["provider"], asked["model"]))
        let_go_of_the_database()
        made = estimates(_usages(asked), prices, catalogue, today)
        return Response(
            {
                "estimates": [_told(row, is_counted="messages" in asked) for row in made.rows],
                "retired": made.retired,
                "others": made.others,
            }
        )


def _told(row: Estimate, *, is_counted: bool) -> dict[str, Any]:
    return {
        "provider": row.key[0],
        "model": row.key[1],
        "cost_usd": f"{row.cost:.9f}",
        "input_tokens": row.usage.input_tokens,
        "output_tokens": row.usage.output_tokens,
        "characters": row.usage.characters,
        "is_exact": row.is_exact or not is_counted,
        "is_own_price": row.is_own,
        "is_too_long": row.is_too_long,
    }


@sensitive_variables("data", "question")
def _asked(data: Any) -> Mapping[str, Any]:
    """The question. It has either messages or amounts."""
    question = EstimateQuestion(data=data)
    question.is_valid(raise_exception=True)
    for name in data:
        if name not in question.fields:
            raise WrongParameterError(
                name, f"There is no field {name[:50]!r}. Known are: {', '.join(question.fields)}."
            )
    asked: Mapping[str, Any] = question.validated_data
    amounts = [name for name in AMOUNTS if asked[name]]
    if "messages" in asked:
        if amounts:
            raise WrongParameterError(amounts[0], f"{amounts[0]}: leave this out, or leave out the messages.")
        if len(json.dumps(asked["messages"], ensure_ascii=False)) > LONGEST_PROMPT:
            raise WrongParameterError("messages", f"messages: send at most {LONGEST_PROMPT:,} characters.")
    elif not amounts:
        raise WrongParameterError("messages", f"messages: send messages, or one of {', '.join(AMOUNTS)}.")
    if asked["cached_tokens"] > asked["input_tokens"]:
        raise WrongParameterError("cached_tokens", "cached_tokens: these are a part of input_tokens.")
    return asked


@sensitive_variables("asked", "body", "texts")
def _usages(asked: Mapping[str, Any]) -> Usages:
    if "messages" in asked:
        texts = [str(message.get("content") or "") for message in asked["messages"]]
        return usages_of({"messages": asked["messages"]}, "".join(texts), asked["output_tokens"])
    usage = Expected(output_tokens=asked["output_tokens"], **{name: asked[name] for name in AMOUNTS})
    return lambda prices: dict.fromkeys(prices, usage)


def _only(prices: PriceOf, key: Key) -> PriceOf:
    """The price of one model. WrongParameterError if it has none."""
    if key not in prices:
        raise WrongParameterError("model", "model: this model has no price.")
    return {key: prices[key]}
