"""The places that files are written to, which settings name: a folder of the server, and a bucket that speaks S3."""

import hashlib
from typing import IO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage
from storages.backends.s3 import S3Storage

from analytics.models import ScheduledExport

CHUNK_BYTES = 1 << 20
FILE_MODE = 0o640
"""Files in the folder are for the worker's user and its group. Django would let everybody on the server read them."""


class NotConfiguredError(Exception):
    """The settings name no such place."""


def offered() -> list[tuple[str, str]]:
    """The places that the settings name, for a menu."""
    named = {ScheduledExport.Place.FOLDER: settings.EXPORT_FOLDER, ScheduledExport.Place.BUCKET: settings.EXPORT_BUCKET}
    return [(place.value, str(place.label)) for place, name in named.items() if name]


def storage_of(place: str) -> Storage:
    """The place as a storage of Django. NotConfiguredError if the settings do not name it."""
    if place not in dict(offered()):
        raise NotConfiguredError
    if place == ScheduledExport.Place.FOLDER:
        return FileSystemStorage(settings.EXPORT_FOLDER, file_permissions_mode=FILE_MODE)
    bucket: Storage = S3Storage(
        bucket_name=settings.EXPORT_BUCKET,
        endpoint_url=settings.EXPORT_BUCKET_ENDPOINT or None,
        region_name=settings.EXPORT_BUCKET_REGION or None,
        access_key=settings.EXPORT_BUCKET_KEY_ID or None,
        secret_key=settings.EXPORT_BUCKET_SECRET or None,
        file_overwrite=True,
        default_acl=None,
    )
    return bucket


def put(storage: Storage, name: str, file: IO[bytes]) -> None:
    """Write a file, in place of one that an interrupted run has left there."""
    if storage.exists(name):
        storage.delete(name)
    file.seek(0)
    written = storage.save(name, File(file))
    if written != name:
        storage.delete(written)
        raise FileExistsError(name)


def digest_of(file: IO[bytes]) -> tuple[int, str]:
    """The size and the SHA-256 of a file."""
    file.seek(0)
    size, digest = 0, hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def is_there(storage: Storage, name: str, size: int, sha256: str) -> bool:
    """Whether the file is there, and is the one with this size and SHA-256."""
    if not storage.exists(name) or storage.size(name) != size:
        return False
    with storage.open(name, "rb") as file:
        return digest_of(file) == (size, sha256)
