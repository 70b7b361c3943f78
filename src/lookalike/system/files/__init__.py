"""Files that are written: the user's, replaced whole or not at all, and those of one folder, by no link."""

from lookalike.system.files.checking import check_file, check_folder, is_stream
from lookalike.system.files.directory import Directory, NoPlainFile, shared
from lookalike.system.files.replacing import replacing, unwritable, writing

__all__ = [
    "Directory",
    "NoPlainFile",
    "check_file",
    "check_folder",
    "is_stream",
    "replacing",
    "shared",
    "unwritable",
    "writing",
]
