"""bonelift: 3D models of the distal radius and ulna from wrist radiographs. Research software, not a medical device.

Reconstruct
    reconstruct             one or two radiographs in, radius and ulna in 3D out
    Reconstruction          bones, poses, measurements, expected errors, verdict; save() writes the result folder
    load_model              a trained model, or the packaged one
    WristImage              what a network of one's own sees of a film

Read
    read_radiograph         DICOM, PNG, JPEG, TIFF, or an array of grey levels
    read_volume             a CT: DICOM folder, NIfTI, NRRD, MHA
    read_labels             a segmentation of radius and ulna
    read_mesh               STL, PLY, OBJ, GLB
    read_camera             a calibration: bonelift JSON, XMALab
    Radiograph, Volume, LabelMap, LabelGrid, TriangleMesh, XrayCamera    what they give

Project
    attenuation             HU to attenuation (1/mm), of everything or of the bones
    film_camera             the camera of a plain film
    project                 a DRR: line integrals along the rays of an image
    project_with_gradient   with its derivative with respect to the pose
    project_torch           the same in torch, with gradients to voxels and pose

Register and measure
    register                bones of a CT in radiographs of the same wrist
    Registration            pose, verdict and reason of one of them
    compare_surfaces        mean and 95th percentile distance between two surfaces, aligned or not
    measure                 inclination, tilt, variance and other measurements of a radius and ulna
    bones_from_labels       surfaces of predicted label fields
    radius_from_patient     from the frame of files and results to the frame that networks work in

Virtual patients
    demo_case               the packaged radiograph with its truth
    virtual_patient         the wrist of a seed
    virtual_radiograph      a simulated film of it
    virtual_ct              a simulated CT with labels

Studies
    simulate                a study folder of virtual patients
    read_study, check_study    the cases of a study folder, and what is wrong with them
    train                   the networks, on a study folder
    evaluate                every patient scored by networks that never saw them; methods of one's own beside ours
    BoneMethod, TrainingFold    how to bring one's own method, and what it learns from

Everywhere
    show_progress           progress of long work, in a script or a notebook
    InputError              what a wrong file or argument raises: one line with what, got and expected

Lengths are in mm, angles of arguments in rad; volumes are [i, j, k], images [row, column]; the world is DICOM patient
LPS; transforms are (4, 4) ``target_from_source``. These names are promised to stay; everything else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from bonelift.kernel_cache import provide_cache_place

if TYPE_CHECKING:
    from bonelift.api.projection import attenuation, film_camera, project, project_torch, project_with_gradient
    from bonelift.api.reading import read_camera, read_labels, read_mesh, read_radiograph, read_volume
    from bonelift.api.reconstruct import Reconstruction, load_model, reconstruct
    from bonelift.api.registering import Registration, register
    from bonelift.api.studies import check_study, evaluate, read_study, simulate, train
    from bonelift.api.surfaces import bones_from_labels, compare_surfaces, measure, radius_from_patient
    from bonelift.api.virtual import demo_case, virtual_ct, virtual_patient, virtual_radiograph
    from bonelift.api.watching import show_progress
    from bonelift.errors import InputError
    from bonelift.experiments.own_methods import BoneMethod, TrainingFold
    from bonelift.geometry.camera import XrayCamera
    from bonelift.images.radiograph import Radiograph
    from bonelift.images.volume import LabelGrid, LabelMap, Volume
    from bonelift.networks.own_network import WristImage
    from bonelift.surface.mesh import TriangleMesh

__version__ = "0.4.0"

RESEARCH_NOTICE = "Research software, not a medical device. Not for diagnosis, treatment or surgical planning."

__all__ = [
    "RESEARCH_NOTICE",
    "BoneMethod",
    "InputError",
    "LabelGrid",
    "LabelMap",
    "Radiograph",
    "Reconstruction",
    "Registration",
    "TrainingFold",
    "TriangleMesh",
    "Volume",
    "WristImage",
    "XrayCamera",
    "__version__",
    "attenuation",
    "bones_from_labels",
    "check_study",
    "compare_surfaces",
    "demo_case",
    "evaluate",
    "film_camera",
    "load_model",
    "measure",
    "project",
    "project_torch",
    "project_with_gradient",
    "radius_from_patient",
    "read_camera",
    "read_labels",
    "read_mesh",
    "read_radiograph",
    "read_study",
    "read_volume",
    "reconstruct",
    "register",
    "show_progress",
    "simulate",
    "train",
    "virtual_ct",
    "virtual_patient",
    "virtual_radiograph",
]

_HOME = {
    "api.projection": ("attenuation", "film_camera", "project", "project_torch", "project_with_gradient"),
    "api.reading": ("read_camera", "read_labels", "read_mesh", "read_radiograph", "read_volume"),
    "api.reconstruct": ("Reconstruction", "load_model", "reconstruct"),
    "api.registering": ("Registration", "register"),
    "api.studies": ("check_study", "evaluate", "read_study", "simulate", "train"),
    "api.surfaces": ("bones_from_labels", "compare_surfaces", "measure", "radius_from_patient"),
    "api.virtual": ("demo_case", "virtual_ct", "virtual_patient", "virtual_radiograph"),
    "api.watching": ("show_progress",),
    "errors": ("InputError",),
    "experiments.own_methods": ("BoneMethod", "TrainingFold"),
    "geometry.camera": ("XrayCamera",),
    "images.radiograph": ("Radiograph",),
    "images.volume": ("LabelGrid", "LabelMap", "Volume"),
    "networks.own_network": ("WristImage",),
    "surface.mesh": ("TriangleMesh",),
}
_MODULE_OF = {name: f"bonelift.{module}" for module, names in _HOME.items() for name in names}

provide_cache_place()

if not TYPE_CHECKING:  # a type checker sees the names above, and no others

    def __getattr__(name: str) -> object:
        """A public name, imported when it is first asked for: ``import bonelift`` itself takes no time."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'bonelift' has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return [*__all__, "__doc__", "__file__", "__name__", "__path__"]
