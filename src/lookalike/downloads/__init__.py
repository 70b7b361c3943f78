"""Pictures from addresses, bounded in bytes, in time, in redirects, and in where they may lead.

Importing this costs nothing; the HTTP library is loaded with the first download.
"""

from lookalike.downloads.addresses import read
from lookalike.downloads.deadlines import Deadline
from lookalike.downloads.downloader import Answer, Downloaded, Downloader, download
from lookalike.downloads.failures import REDIRECTS, Failed, without_secrets

__all__ = [
    "REDIRECTS",
    "Answer",
    "Deadline",
    "Downloaded",
    "Downloader",
    "Failed",
    "download",
    "read",
    "without_secrets",
]
