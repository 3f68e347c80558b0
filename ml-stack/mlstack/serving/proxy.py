"""What stands before Serve's proxy, which answers 500 to some headers that are not in UTF-8 (X-Request-Id, say)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from mlstack.serving.schema import Problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def middlewares() -> list[Middleware]:
    """What RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names."""
    return [Middleware(OnlyUtf8)]


class OnlyUtf8:
    """Refuses headers in another encoding."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or answer 400."""
        try:
            for _, value in scope.get("headers", ()):
                value.decode()
        except UnicodeDecodeError:
            from starlette.responses import Response

            problem = Problem(error="a header is not in UTF-8").model_dump_json()
            await Response(problem, 400, media_type="application/json")(scope, receive, send)
            return
        await self._app(scope, receive, send)
