from tests.services.conftest import shop

__all__ = ["shop"]
