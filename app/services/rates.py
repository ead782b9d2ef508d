"""Rate limits: what a request has to pay, and who pays it.

A request pays twice: from the bucket of the account that asks, and from that of each project it is let into, so that
neither one account nor one project can take what is for all. An API key has only its project's; who has no token pays
by address. The doors say what a request costs; ``access`` says which project it is about, once the caller is known to
be let in there: no stranger can use a project's points up.
"""

from contextvars import ContextVar
from typing import Final
from uuid import UUID

from app.domain.errors import TooManyAtOnce
from app.domain.login_limits import network_of
from app.domain.model import Actor
from app.domain.rates import OFTEN_FACTOR, Payer, RateLimits
from app.services.digests import keyed
from app.services.leases import Leases, PayerKey
from app.storage.rate_buckets import Bucket


def _bucket(key: PayerKey) -> Bucket:
    payer, who, often = key
    named = keyed("rates: address", who.encode(errors="surrogatepass"))[:16].hex() if isinstance(who, str) else who
    name = f"{payer.value} {named}{' often' if often else ''}"
    return Bucket(name, None if isinstance(who, str) else who, OFTEN_FACTOR if often else 1)


class Meter:
    """The rate limits of this process: what it has leased, and how many requests of each project it is answering."""

    def __init__(self, limits: RateLimits) -> None:
        self.leases: Final = Leases(limits.per_second, _bucket)
        self._limits = limits
        self._busy: dict[int, int] = {}

    async def pay(self, key: PayerKey, points: int) -> None:
        """Take the points. Raises RateLimited."""
        if not self.leases.take(key, points):
            await self.leases.obtain(key, points)

    def enter(self, project_id: int) -> None:
        """Count a request that is being answered. Raises TooManyAtOnce."""
        busy = self._busy.get(project_id, 0)
        if busy >= self._limits.concurrent:
            raise TooManyAtOnce(self._limits.concurrent)
        self._busy[project_id] = busy + 1

    def leave(self, project_id: int) -> None:
        """Count it no more."""
        busy = self._busy[project_id] - 1
        if busy:
            self._busy[project_id] = busy
        else:
            del self._busy[project_id]


meter: Meter | None = Meter(RateLimits())
"""None: nothing is limited."""


class Charge:
    """What one request has to pay, and who has paid; to be closed when the request is answered.

    ``often`` requests pay from buckets of their own; ``endless`` ones are not counted among those being answered.
    """

    __slots__ = ("_caller", "_counted", "_meter", "_projects", "endless", "often", "points")

    def __init__(self, meter: Meter, points: int, *, often: bool = False, endless: bool = False) -> None:
        self.points = points
        self.often = often
        self.endless = endless
        self._meter = meter
        self._counted: list[int] = []
        self._caller: tuple[Payer, UUID | str] | None = None
        self._projects: list[int] = []

    async def begin(self, caller: Actor | None, address: str) -> None:
        """Let the caller pay, by address if it is nobody. Raises RateLimited, TooManyAtOnce."""
        if caller is None:
            self._caller = (Payer.ADDRESS, network_of(address))
        elif caller.project_id is None:
            self._caller = (Payer.ACCOUNT, caller.account_uuid)
        else:
            await self.let_into(caller.project_id)
            return
        key = (*self._caller, self.often)
        if not self._meter.leases.take(key, self.points):
            await self._meter.leases.obtain(key, self.points)

    async def let_into(self, project_id: int) -> None:
        """Let the project pay, if it has not. Raises RateLimited, TooManyAtOnce."""
        if project_id not in self._projects:
            if not self.endless:
                self._meter.enter(project_id)
                self._counted.append(project_id)
            self._projects.append(project_id)
            key = (Payer.PROJECT, project_id, self.often)
            if not self._meter.leases.take(key, self.points):
                await self._meter.leases.obtain(key, self.points)

    async def rise_to(self, points: int) -> None:
        """Let all who have paid pay more: only now it is known what the request costs in all. Raises RateLimited."""
        more = points - self.points
        if more <= 0:
            return
        self.points = points
        if self._caller is not None:
            await self._meter.pay((*self._caller, self.often), more)
        for project_id in self._projects:
            await self._meter.pay((Payer.PROJECT, project_id, self.often), more)

    def correct(self, points: int) -> None:
        """Let the request have cost so much in the end: what was paid too much is given back, what too little owed."""
        spare, self.points = self.points - points, points
        for project_id in self._projects:
            self._meter.leases.adjust((Payer.PROJECT, project_id, self.often), spare)
        if self._caller is not None:
            self._meter.leases.adjust((*self._caller, self.often), spare)

    async def settle(self) -> None:
        """Let what was no mere polling pay as others do. Raises RateLimited."""
        if self.often:
            self.often = False
            points, self.points = self.points, 0
            await self.rise_to(points)

    def close(self) -> None:
        """Make room for other requests of the projects."""
        while self._counted:
            self._meter.leave(self._counted.pop())

    def standing(self) -> tuple[int, int, int] | None:
        """Return the size of the bucket that bears the request, what is left, and seconds until it is full again."""
        if self._projects:
            return self._meter.leases.standing((Payer.PROJECT, self._projects[0], self.often))
        return None if self._caller is None else self._meter.leases.standing((*self._caller, self.often))


_charge: ContextVar[Charge | None] = ContextVar("charge", default=None)


def open_charge(points: int, *, often: bool = False, endless: bool = False) -> Charge | None:
    """Begin to count what the present request costs; None if nothing is limited. For a door, once a request."""
    charge = None if meter is None else Charge(meter, points, often=often, endless=endless)
    _charge.set(charge)
    return charge


async def let_into(project_id: int) -> None:
    """Let the project pay for the present request, if one is being counted. Raises RateLimited, TooManyAtOnce."""
    charge = _charge.get()
    if charge is not None:
        await charge.let_into(project_id)
