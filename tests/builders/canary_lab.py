"""A lab's files of one virtual wrist with canaries wherever they can hold words: DICOM, Slicer, pictures, names."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import dcmread

from bonelift.geometry.camera_files import write_camera_json
from bonelift.images import read_labels
from bonelift.images.markups import write_landmarks
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.study.folder import read_study
from builders.canaries import Canaries
from builders.clinical_files import scanned, write_wrist

SPACING_COLUMNS = "file,case,side,view,spacing_mm\n"


@dataclass(frozen=True)
class Lab:
    """Paths. film: the CR in DICOM; films: a folder with it and its pixels as PNG, TIFF and JPEG; facts: of those."""

    table: Path
    ct: Path
    labels: Path
    plain_labels: Path
    landmarks: Path
    named_landmarks: Path
    film: Path
    pose: Path
    camera: Path
    films: Path
    facts: Path


def write_lab(folder: Path, canaries: Canaries, seed: int) -> Lab:
    """The patient's own name is no canary that a user could have typed: case and patient are w01 and p01."""
    wrist = write_wrist(folder / canaries.word("folder's name"), seed)
    home = wrist.folder
    ct = (home / "ct").rename(home / f"scan of {canaries.word('name of the CT folder')}")
    slices = sorted(ct.iterdir())
    for n, path in enumerate(slices):
        canaries.respell(path, all_elements=n in (0, len(slices) // 2, len(slices) - 1))
        path.rename(ct / f"{n:03d} {canaries.word('name of a slice')}.dcm")
    labels = home / f"{canaries.word('name of the labels')}.seg.nrrd"
    (home / "bones.seg.nrrd").rename(labels)
    _into_nrrd(labels, canaries)
    landmarks = home / f"{canaries.word('name of the landmarks')}.mrk.json"
    (home / "points.mrk.json").rename(landmarks)
    _into_markups(landmarks, canaries)
    named = home / f"{canaries.word('name of other landmarks')}.mrk.json"
    write_landmarks(named, wrist.truth)
    _into_markups(named, canaries)
    film = home / f"{canaries.word('name of the film')}.dcm"
    (home / "film-pa.dcm").rename(film)
    canaries.respell(film)
    pose = home / f"{canaries.word('name of the pose')}.json"
    (home / "film-pa-pose.json").rename(pose)
    camera = home / f"{canaries.word('name of the camera')}.json"
    write_camera_json(camera, read_radiograph(film, RadiographOptions(side="right", view="pa")).camera)
    plain = home / f"{canaries.word('name of other labels')}.seg.nrrd"
    whole = scanned(seed)[2]
    write_labels_seg_nrrd(plain, replace(whole, world_from_voxel=wrist.world_from_right @ whole.world_from_voxel))
    facts, films = _films(home, film, canaries)
    table = home / f"{canaries.word('name of the table')}.csv"
    table.write_text(
        "case,patient,side,ct,labels,landmarks,radiograph,view,pose,pixel_spacing_mm\n"
        f"w01,p01,right,{ct.name},{labels.name},{landmarks.name},{film.name},,{pose.name},\n"
        f"w01,p01,right,{ct.name},{labels.name},{landmarks.name},{films.name}/{_named(films, '.png')},pa,,0.4\n"
        f"w01,p01,right,{ct.name},{labels.name},{landmarks.name},{films.name}/{_named(films, '.tif')},pa,,0.4\n"
    )
    return Lab(table, ct, labels, plain, landmarks, named, film, pose, camera, films, facts)


def _named(folder: Path, ending: str) -> str:
    return next(path.name for path in folder.iterdir() if path.suffix == ending)


def words_into_study(folder: Path, canaries: Canaries) -> None:
    """Into what the files of a study folder hold beside what they are read for, as other programs leave it there."""
    for case in read_study(folder).cases:
        for name in (case.ct, case.labels):
            _into_header(folder / name, canaries)
        _into_markups(folder / case.landmarks, canaries)
        for entry in case.radiographs:
            picture, words = Image.open(folder / entry.file), PngInfo()
            words.add_text("Comment", canaries.word("comment of a film"))
            words.add_text("packed", canaries.word("packed comment of a film") * 20, zip=True)
            picture.save(folder / entry.file, pnginfo=words)


def _into_header(path: Path, canaries: Canaries) -> None:
    """A comment and a field of another program."""
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    lines = head.decode().splitlines()
    lines.insert(1, f"# {canaries.word('comment of an NRRD')}")
    lines.append(f"{canaries.word('field of an NRRD')}:={canaries.word('value of a field of an NRRD')}")
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + voxels)


def _into_nrrd(path: Path, canaries: Canaries) -> None:
    """A comment, fields of other programs, and the name and tags of a segment that is no bone."""
    _into_header(path, canaries)
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    head = head.replace(b"Carpus", f"Carpus {canaries.word('segment')}".encode())
    path.write_bytes(head + b"\n\n" + voxels)
    assert len(read_labels(path).names) == 3


def _into_markups(path: Path, canaries: Canaries) -> None:
    content = json.loads(path.read_text())
    markup = content["markups"][0]
    markup["name"] = canaries.word("name of the markups")
    markup["display"] = {"textProperty": canaries.word("display of the markups")}
    first = markup["controlPoints"][0]
    third = dict(first, label=canaries.word("label of a third landmark"))
    markup["controlPoints"].append(third)
    for point in markup["controlPoints"]:
        for key in ("id", "description", "associatedNodeID"):
            point[key] = canaries.word(f"{key} of a landmark")
    content["@schema"] = "https://" + canaries.word("schema of the markups") + ".example/markups.json#"
    path.write_text(json.dumps(content))


def _films(home: Path, film: Path, canaries: Canaries) -> tuple[Path, Path]:
    """(facts, folder) of the film as DICOM, PNG, TIFF and JPEG, each with what words its format can hold."""
    folder = home / canaries.word("name of the films' folder")
    folder.mkdir()
    pixels = dcmread(film).pixel_array
    levels = np.rint(pixels / pixels.max() * 255).astype(np.uint8)
    words = PngInfo()
    for key in ("Author", "Comment"):
        words.add_text(key, canaries.word(f"{key} of a PNG"))
        words.add_text(f"packed {key}", canaries.word(f"packed {key} of a PNG") * 20, zip=True)
        words.add_itxt(f"international {key}", canaries.word(f"international {key} of a PNG") * 20, zip=True)
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = canaries.word("EXIF description"), canaries.word("EXIF artist")
    picture = Image.fromarray(levels)
    names = {
        ending: folder / f"{canaries.word(f'name of a {ending} film')}.{ending}" for ending in ("png", "tif", "jpg")
    }
    picture.save(names["png"], pnginfo=words, exif=exif)
    picture.save(names["jpg"], quality=97, exif=exif, comment=canaries.word("comment of a JPEG"))
    own = {315: canaries.word("artist of a TIFF"), 65000: canaries.word("own tag of a TIFF")}
    tags = [(tag, "s", 0, word, True) for tag, word in own.items()]
    tifffile.imwrite(
        names["tif"], pixels, description=canaries.word("description of a TIFF"), software=canaries.word("software"),
        extratags=tags, metadata=None,
    )  # fmt: skip
    dicom = folder / f"{canaries.word('name of a DICOM film')}.dcm"
    dicom.write_bytes(film.read_bytes())
    facts = home / f"{canaries.word('name of the facts')}.csv"
    rows = [f"{path.name},f{n},right,pa,0.4\n" for n, path in enumerate(names.values())]
    facts.write_text(SPACING_COLUMNS + "".join(rows) + f"{dicom.name},f9,right,pa,\n")
    return facts, folder
