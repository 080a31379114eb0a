"""The ground of real bones: several methods on the same CT-DRR and the same simulated film of one wrist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from bonelift.experiments.methods.grounds import MEAN, SIZED, Reader, ReadImage, read_image
from bonelift.experiments.methods.on_films import image_of
from bonelift.experiments.real_bones import RealWrist
from bonelift.experiments.real_bones_scores import Pictures, RealBoneRow, Saw, score_no_skill, score_wrist
from bonelift.networks.model import WristModel
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.job import reconstruct
from bonelift.surface.mesh import TriangleMesh

CT_DRR, FILM, NO_IMAGE = "CT-DRR PA", "film PA", "none"


@dataclass(frozen=True)
class MethodOnBone(RealBoneRow):
    """A row of one method. read_s, read_mib: of the processor, and of the process, while it read the image. made: by
    which commit, when and on what."""

    read_s: float = float("nan")
    read_mib: float = float("nan")
    made: str = ""


def images_of(shown: Pictures, model: WristModel) -> dict[str, WristImage | None]:
    """Source -> what all methods read. The film is found, cut and translated once, by the main job; None where no wrist
    was found in it."""
    return {CT_DRR: WristImage("pa", shown.drrs["pa"]), FILM: image_of(reconstruct([shown.films["pa"]], model))}


def rows_of_images(
    wrist: RealWrist,
    images: Mapping[str, WristImage | None],
    reads: Mapping[str, Reader],
    facts: tuple[int, str, Saw, str],
) -> list[MethodOnBone]:
    """Every method on every image. facts: number of the drawn inside, name of the model, whether it saw the subject,
    and what made the row."""
    interior, model, saw, made = facts
    rows = []
    for source, image in images.items():
        for method, reader in reads.items():
            if method == MEAN:  # It looks at nothing: its row is of the other subjects' bones.
                continue
            unseen = ReadImage(None, "no wrist was found in the film", float("nan"), float("nan"))
            read = unseen if image is None else read_image(reader, image)
            surfaces: Mapping[str, TriangleMesh] = read.bones.surfaces if read.bones else {}
            for row in score_wrist(wrist, surfaces, source, method):
                told = replace(row, interior=interior, model=model, saw=saw, note=read.reason or row.note)
                rows.append(MethodOnBone(**asdict(told), read_s=read.seconds, read_mib=read.peak_mib, made=made))
    return rows


def rows_without_skill(wrist: RealWrist, means: Mapping[str, TriangleMesh], made: str) -> list[MethodOnBone]:
    """The mean of the other subjects' real bones, and the same at the true size. made: what made the rows."""
    named = {"mean of the others": MEAN, "the same at true size": SIZED}
    rows = [replace(row, method=named[row.method]) for row in score_no_skill(wrist, means)]
    return [MethodOnBone(**asdict(row), made=made) for row in rows]
