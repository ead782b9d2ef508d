"""An own PostgreSQL for whoever gives no database URL: on Linux, unix socket only, gone when Strata is."""

from app.storage.embedded.binaries import find_binaries
from app.storage.embedded.cluster import Cluster, running_cluster
from app.storage.embedded.errors import EmbeddedError
from app.storage.embedded.folder import default_data_dir

__all__ = ["Cluster", "EmbeddedError", "default_data_dir", "find_binaries", "running_cluster"]
