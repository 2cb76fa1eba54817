"""What the list of prices is filtered by. One declaration serves its page and the API."""

from django_filters import CharFilter, FilterSet

from pricing.models import Price, PriceQuerySet

LONGEST_SEARCH = 200


class PriceFilters(FilterSet):  # type: ignore[misc]  # django-filter has no types
    search = CharFilter(
        method="containing", max_length=LONGEST_SEARCH, help_text="Only models whose name contains every word of this."
    )
    model = CharFilter(max_length=LONGEST_SEARCH, help_text="Only prices of this model.")
    provider = CharFilter(max_length=50, help_text="Only prices of this provider.")

    class Meta:
        model = Price
        fields = ()

    def containing(self, prices: PriceQuerySet, name: str, search: str) -> PriceQuerySet:
        """The prices of the models whose name contains every word, ignoring case."""
        for word in search.split():
            prices = prices.filter(model__icontains=word)
        return prices
