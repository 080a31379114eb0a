"""3D Slicer scripted module: reconstructs radius and ulna from wrist radiographs with the command ``bonelift``.

The command runs as a program of its own, in the Python environment in which it was installed; nothing is installed into
Slicer's. What it writes is loaded: the segmentation, the surfaces, and the measurements as a table.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

NOTICE = "Research software, not a medical device. Not for diagnosis, treatment or surgical planning."
COMMAND_SETTING = "BoneLift/Command"
MOST_IMAGES = 2
SIDES = {"from the file": None, "left": "left", "right": "right"}
VIEWS = {"from the file": None, "PA": "pa", "lateral": "lateral"}
# Slicer's own libraries and Python must not be found by another Python.
SLICERS_OWN = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONNOUSERSITE")


class BoneLift(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "BoneLift"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["The authors of bonelift"]
        parent.helpText = f"Distal radius and ulna in 3D from one or two wrist radiographs. {NOTICE}"
        parent.acknowledgementText = "Method: Shiode et al. 2021, Sci Rep 11:15249."


class BoneLiftLogic(ScriptedLoadableModuleLogic):
    """Builds the call, runs it, loads what it wrote. No widget is needed."""

    def command_line(self, command, images, out, views=(), side=None, pixel_spacing_mm=None):
        """The call as a list of words.

        images: one or two files. views: "pa" or "lateral" for each, or nothing where the files say it. side: "left" or
        "right". pixel_spacing_mm: of the detector, where the files do not say it. Raises ValueError for another number
        of images or of views.
        """
        if not 1 <= len(images) <= MOST_IMAGES:
            raise ValueError(f"got {len(images)} images; expected one or two of the same wrist")
        if views and len(views) != len(images):
            raise ValueError(f"got {len(views)} views for {len(images)} images; expected one for each, or none")
        words = [command, "reconstruct", *map(str, images)]
        for view in views:
            words += ["--view", view]
        if side:
            words += ["--side", side]
        if pixel_spacing_mm:
            words += ["--pixel-spacing-mm", f"{pixel_spacing_mm:g}"]
        return [*words, "--files", "stl,seg,csv", "--json", "--out", str(out)]

    def environment(self):
        """Of the program: as it was before Slicer added its own libraries and Python."""
        start = getattr(slicer.util, "startupEnvironment", None)
        if start:
            return dict(start())
        return {name: value for name, value in os.environ.items() if name not in SLICERS_OWN}

    def start(self, words):
        """The running program."""
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self.environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def finish(self, process):
        """The summary of an ended program. Raises RuntimeError with its own words where it did not come to a result."""
        said, complained = process.communicate()
        if process.returncode != 0:
            lines = [line for line in complained.splitlines() if line.strip()]
            raise RuntimeError(lines[-1] if lines else f"bonelift ended with status {process.returncode}")
        return json.loads(said)

    def load(self, folder):
        """Load segmentation and measurements of a result; returns the nodes by name. Files are in LPS and say so."""
        folder = Path(folder)
        facts = json.loads((folder / "reconstruction.json").read_text(encoding="utf-8"))
        nodes = {}
        if (folder / "labels.seg.nrrd").is_file():
            nodes["segmentation"] = slicer.util.loadSegmentation(str(folder / "labels.seg.nrrd"))
            nodes["segmentation"].SetName(f"{facts['side']} wrist")
        for bone in ("radius", "ulna"):
            name = facts["bones"][bone]["file"]
            if name:
                nodes[bone] = slicer.util.loadModel(str(folder / name))
                nodes[bone].SetName(f"{facts['side']} {bone}")
        if (folder / "measurements.csv").is_file():
            nodes["measurements"] = slicer.util.loadTable(str(folder / "measurements.csv"))
        return nodes

    def remarks(self, folder):
        """What the result says of itself: the worst first."""
        facts = json.loads((Path(folder) / "reconstruction.json").read_text(encoding="utf-8"))
        order = ("severe", "warning", "info")
        flags = sorted(facts["quality"]["flags"], key=lambda flag: order.index(flag["severity"]))
        return [f"{flag['severity']}: {flag['text']}" for flag in flags]

    def run(self, command, images, out, **facts):
        """The whole way without a window: call, wait, load. Returns the nodes by name."""
        self.finish(self.start(self.command_line(command, images, out, **facts)))
        return self.load(out)


class BoneLiftWidget(ScriptedLoadableModuleWidget):
    """One form: files, what they do not say, a button, and what the result says of itself."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BoneLiftLogic()
        self.process, self.folder = None, None
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.command = qt.QLineEdit(qt.QSettings().value(COMMAND_SETTING) or shutil.which("bonelift") or "bonelift")
        self.images = qt.QLineEdit()
        self.images.setPlaceholderText("one or two radiographs of one wrist, separated by ;")
        browse = qt.QPushButton("Choose files...")
        browse.connect("clicked()", self.choose)
        self.side, self.views = self._choice(SIDES), [self._choice(VIEWS), self._choice(VIEWS)]
        self.spacing = qt.QDoubleSpinBox()
        self.spacing.setDecimals(4)
        self.spacing.setSuffix(" mm (0: from the file)")
        for label, field in (
            ("Command", self.command), ("Radiographs", self.images), ("", browse), ("Side", self.side),
            ("View of the first", self.views[0]), ("View of the second", self.views[1]),
            ("Pixel spacing", self.spacing),
        ):  # fmt: skip
            form.addRow(label, field)
        self.button = qt.QPushButton("Reconstruct")
        self.button.connect("clicked()", self.start_or_cancel)
        self.status = qt.QLabel(NOTICE)
        self.status.setWordWrap(True)
        self.layout.addWidget(self.button)
        self.layout.addWidget(self.status)
        self.layout.addStretch(1)
        self.timer = qt.QTimer()
        self.timer.setInterval(500)
        self.timer.connect("timeout()", self.look)

    def _choice(self, words):
        box = qt.QComboBox()
        box.addItems(list(words))
        return box

    def choose(self):
        chosen = qt.QFileDialog.getOpenFileNames(None, "Radiographs of one wrist")
        if chosen:
            self.images.setText(";".join(chosen))

    def start_or_cancel(self):
        if self.process is not None:
            self.process.kill()
            return
        images = [name.strip() for name in self.images.text.split(";") if name.strip()]
        views = [VIEWS[box.currentText] for box in self.views[: len(images)]]
        self.folder = str(Path(tempfile.mkdtemp(prefix="bonelift-")) / "result")
        try:
            words = self.logic.command_line(
                self.command.text, images, self.folder, views if all(views) else (), SIDES[self.side.currentText],
                self.spacing.value or None,
            )  # fmt: skip
            self.process = self.logic.start(words)
        except (ValueError, OSError) as error:
            self.status.setText(f"{error}")
            return
        qt.QSettings().setValue(COMMAND_SETTING, self.command.text)
        self.button.setText("Cancel")
        self.status.setText("bonelift is at work; this takes about half a minute.")
        self.timer.start()

    def look(self):
        """Whether the program has ended; Slicer stays usable while it runs."""
        if self.process.poll() is None:
            return
        self.timer.stop()
        process, self.process = self.process, None
        self.button.setText("Reconstruct")
        try:
            self.logic.finish(process)
            self.logic.load(self.folder)
            self.status.setText("\n".join([*self.logic.remarks(self.folder), f"Files: {self.folder}", NOTICE]))
        except (RuntimeError, ValueError, OSError) as error:
            self.status.setText(f"{error}")

    def cleanup(self):
        self.timer.stop()
        if self.process is not None:
            self.process.kill()


class BoneLiftTest(ScriptedLoadableModuleTest):
    """Slicer's own self test: the command line alone, which needs no radiograph."""

    def runTest(self):  # noqa: N802 - the name that Slicer calls
        words = BoneLiftLogic().command_line("bonelift", ["pa.dcm"], "out", ["pa"], "left", 0.144)
        assert words[:3] == ["bonelift", "reconstruct", "pa.dcm"]
        self.delayDisplay("BoneLift: the command line is built")
