"""Bodies of A/B tests (reference guide, "A/B Tests"; ``rest.md``)."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from app.domain.ab_metrics import CONVERSION
from app.domain.bucketing import Variant
from app.domain.errors import BadRequest, ValidationFailed
from app.domain.ingestion import Outcome, Told
from app.rest.body import Body
from app.rest.promotion_bodies import PromotionBody
from app.services.experiments import Design


class TestRequest(Body):
    """`split_pct` is the share of users, in percent, that sees side B. Without `ab_seed` a random one is made."""

    env_a_uuid: UUID
    env_b_uuid: UUID
    split_pct: int = 50
    metric: str = CONVERSION
    ab_seed: str | None = None

    def design(self) -> Design:
        """Return what the service needs to know."""
        return Design(self.env_a_uuid, self.env_b_uuid, self.split_pct, self.metric, self.ab_seed)


class StopRequest(Body):
    reason: str | None = None


class ExposureBody(Body):
    """A user who has seen a variant. `variant` is the one seen: another than the one dealt means quarantine."""

    user_uuid: str
    variant: Variant | None = None

    def told(self) -> Told:
        """Return what the service needs to know."""
        return Told(self.user_uuid, None, self.variant)


class ResultBody(Body):
    """A user who converted; `value` is what a numeric metric is made of."""

    user_uuid: str
    outcome: Outcome
    value: Any = None
    variant: Variant | None = None

    def told(self) -> Told:
        """Return what the service needs to know. Raises ValidationFailed."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | Decimal | None):
            raise ValidationFailed("A value is a number.", field="value")
        return Told(self.user_uuid, self.value, self.variant)


class ExposuresRequest(Body):
    """One exposure, or up to 1,000 as `exposures`."""

    exposures: list[ExposureBody] | None = None
    user_uuid: str | None = None
    variant: Variant | None = None

    def told(self) -> list[Told]:
        """Return what the service needs to know. Raises BadRequest."""
        if (self.user_uuid is None) == (self.exposures is None) or (self.exposures is not None and self.variant):
            raise BadRequest("Give either one exposure, with its user_uuid, or a list 'exposures'.", path="/user_uuid")
        if self.user_uuid is not None:
            return [Told(self.user_uuid, None, self.variant)]
        return [item.told() for item in self.exposures or ()]


class ResultsRequest(Body):
    """One result, or up to 1,000 as `results`."""

    results: list[ResultBody] | None = None
    user_uuid: str | None = None
    outcome: Outcome | None = None
    value: Any = None
    variant: Variant | None = None

    def told(self) -> list[Told]:
        """Return what the service needs to know. Raises BadRequest, ValidationFailed."""
        single = (self.user_uuid, self.outcome, self.value, self.variant)
        if (self.results is None) == (single == (None, None, None, None)):
            raise BadRequest("Give either one result, with its user_uuid, or a list 'results'.", path="/user_uuid")
        if self.results is not None:
            return [item.told() for item in self.results]
        if self.user_uuid is None or self.outcome is None:
            raise ValidationFailed("A result has a user_uuid and an outcome.", path="/user_uuid")
        one = ResultBody(user_uuid=self.user_uuid, outcome=self.outcome, value=self.value, variant=self.variant)
        return [one.told()]


class DeclareRequest(PromotionBody, kw_only=True):
    """The side that won, and how to promote it."""

    winner: Variant
