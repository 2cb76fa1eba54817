"""The shape of who asks."""

from rest_framework import serializers

from api.shapes.base import Shape, example


class OrganizationShape(Shape):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    time_zone = serializers.CharField(help_text="Its days begin and end in this zone.")


@example(
    {
        "kind": "key",
        "name": "Nightly report",
        "role": "Admin",
        "organizations": [{"id": 3, "slug": "acme", "name": "Acme", "time_zone": "Europe/Berlin"}],
        "may": ["see_costs", "see_everybody", "export"],
        "today": "2026-11-30",
    }
)
class MeShape(Shape):
    """Who asks, and what they may see."""

    kind = serializers.ChoiceField(["person", "key"])
    name = serializers.CharField()
    role = serializers.CharField(help_text="Super Admin, Admin or User. A key without a person has that of an Admin.")
    organizations = OrganizationShape(many=True, help_text="Those that you see; at most 100.")
    project = serializers.CharField(required=False, help_text="The only project that a key may tell of.")
    may = serializers.ListField(
        child=serializers.ChoiceField(["see_costs", "see_everybody", "export", "edit_prices"]),
        help_text="What you may do beside seeing your own requests.",
    )
    today = serializers.DateField(help_text="The day that ranges end on.")
