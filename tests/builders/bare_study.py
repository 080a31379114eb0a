"""A study of names only: who has how many CTs, films and poses."""

from bonelift.study.folder import Study, StudyCase, StudyRadiograph


def cohort(patients: int, films: int, registered: int, twice: int = 0) -> Study:
    """``twice`` patients have two CTs; the first ``films`` have a radiograph, the first ``registered`` its pose."""
    cases = []
    for n in range(patients):
        shown = (StudyRadiograph("x.png", "pa", pose_file="pose.json" if n < registered else None),)
        for number in range(2 if n < twice else 1):
            cases.append(
                StudyCase(
                    f"c{n}-{number}", f"p{n:03d}", "left", "ct.nrrd", "l.nrrd", "m.json", shown if n < films else ()
                )
            )
    return Study(tuple(cases), "test")
