"""Names of label values in a NIfTI file's header extension, as TotalSegmentator and Connectome Workbench write them."""

from __future__ import annotations

import gzip
import html
import re
from pathlib import Path

from bonelift.errors import InputError
from bonelift.images.nifti_files import class_name_of, quiet_nibabel
from bonelift.storage.input_files import opened

_MOST_BYTES = 1 << 20
_LABEL = re.compile(
    r"<Label\s[^>]{0,300}?\bKey=\"(\d{1,6})\"[^>]{0,300}>\s*(?:<!\[CDATA\[([^\]]{1,100})\]\]>|([^<]{1,100}))"
)


def nifti_label_names(path: Path) -> dict[int, str]:
    """Value -> name, of every named label; empty where the header names none or its extension is damaged.

    Only the elements ``<Label Key="8">radius</Label>`` are looked for: the text is not parsed as XML, so nothing in it
    can be made to expand.
    """
    import nibabel as nib

    with quiet_nibabel(), opened(path, "a NIfTI volume") as stream:
        head = stream.read(1024)
        stream.seek(0)
        class_name = class_name_of(head)
        if class_name is None:
            return {}
        try:
            packed = head[:2] == b"\x1f\x8b"
            image = getattr(nib, class_name).from_stream(gzip.GzipFile(fileobj=stream) if packed else stream)
            contents = [bytes(extension.get_content()) for extension in image.header.extensions]
        except InputError:
            raise
        except Exception:  # whatever nibabel raises on damaged bytes: read_nifti reports what matters
            return {}
    names: dict[int, str] = {}
    for content in contents:
        for value, quoted, plain in _LABEL.findall(content[:_MOST_BYTES].decode("utf-8", "replace")):
            names[int(value)] = (quoted or html.unescape(plain)).strip()
    return names
