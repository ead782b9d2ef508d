"""Accounts and their sessions: registering, logging in, going on, logging out."""

from typing import Annotated, Final, TypeAlias

import strawberry

from app.services import identity, login
from app.services.login import Credentials, Tokens
from schema.context import Info
from schema.describe import unkeyed_mutation
from schema.errors import Forbidden, InvalidTransition, ValidationFailed
from schema.viewer import Account

_SCHEME: Final = "bearer"


@strawberry.input(description="The account to make.")
class RegisterInput:
    email: str = strawberry.field(description="E-mail address; case does not matter.")
    password: str = strawberry.field(description="Password, 10 characters or more.")


@strawberry.input(description="Whose session to begin.")
class LogInInput:
    email: str = strawberry.field(description="E-mail address of the account; case does not matter.")
    password: str = strawberry.field(description="Its password.")


@strawberry.input(description="The session to go on with.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(
        description="What the session's last tokens came with. It is good for one exchange: coming back after that,"
        " it ends the session."
    )


@strawberry.type(description="The account was made.")
class RegisterPayload:
    account: Account = strawberry.field(description="The account.")


@strawberry.type(description="The tokens of a session.")
class SessionPayload:
    access_token: str = strawberry.field(description="To be sent as `Authorization: Bearer …`.")
    token_type: str = strawberry.field(description="`bearer`.")
    expires_in: int = strawberry.field(description="Seconds for which the access token is good.")
    refresh_token: str = strawberry.field(description="What gets the next tokens, once; it is shown now only.")

    @classmethod
    def of(cls, tokens: Tokens) -> "SessionPayload":
        return cls(
            access_token=tokens.access_token,
            token_type=_SCHEME,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
        )


@strawberry.type(description="The session has ended.")
class LogOutPayload:
    ended: bool = strawberry.field(description="True: within a second no server takes any token of the session.")


LogOutResult: TypeAlias = Annotated[
    LogOutPayload | Forbidden, strawberry.union("LogOutResult", description="The end, or why an API key has none.")
]
RegisterResult: TypeAlias = Annotated[
    RegisterPayload | InvalidTransition | ValidationFailed,
    strawberry.union("RegisterResult", description="The account, or why there is none."),
]


@strawberry.type
class AccountMutation:
    @unkeyed_mutation
    async def register(self, info: Info, input: RegisterInput) -> RegisterResult:  # noqa: A002
        """Make an account. It needs no token, and gives none: log in."""
        made = await identity.register(input.email, input.password)
        return RegisterPayload(account=Account.of(made))

    @unkeyed_mutation
    async def log_in(self, info: Info, input: LogInInput) -> SessionPayload:  # noqa: A002
        """Begin a session. It can be asked for once in an operation.

        Fails with `invalid_credentials`, whichever of the two is wrong, and with `too_many_attempts`.
        """
        visitor = info.context.known_visitor
        given = Credentials(input.email, input.password, visitor.address)
        return SessionPayload.of(await login.log_in(given, visitor.lifetimes, visitor.login_limits))

    @unkeyed_mutation
    async def refresh_session(self, info: Info, input: RefreshSessionInput) -> SessionPayload:  # noqa: A002
        """Exchange a refresh token for new tokens. Fails with `invalid_refresh_token`."""
        return SessionPayload.of(await login.refresh(input.refresh_token, info.context.known_visitor.lifetimes))

    @unkeyed_mutation
    async def log_out(self, info: Info) -> LogOutResult:
        """End the session that the request's token belongs to."""
        await login.log_out(info.context.actor, info.context.known_visitor.authorization)
        return LogOutPayload(ended=True)
