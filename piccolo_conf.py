"""Piccolo's own configuration: the database and the apps with migrations. Read from ``app/settings.py``."""

from piccolo.conf.apps import AppRegistry

from app.settings import Settings
from app.storage.piccolo_engine import LazyPostgresEngine

DB = LazyPostgresEngine(config={"dsn": Settings.from_env().database_url or "postgresql:///strata"}, extensions=())

APP_REGISTRY = AppRegistry(apps=["app.storage.piccolo_app"])
