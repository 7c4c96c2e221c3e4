"""What the demo's instruments leave is what such instruments leave."""

import io
import struct
from xml.etree import ElementTree as ET

import pydicom

from deriva_watch.demo import content


def test_the_scans_are_a_series_of_dicom_images():
    """As a reader of DICOM that is not ours sees them: one series, in order, all different."""
    images = [pydicom.dcmread(io.BytesIO(data)) for data in content.scans().values()]

    assert {(image.Modality, image.SeriesNumber) for image in images} == {("CT", 5)}
    assert [image.InstanceNumber for image in images] == [6, 7, 8, 9, 10]
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert all(len(image.PixelData) == image.Rows * image.Columns * 2 for image in images)


def test_the_run_has_the_cycles_that_its_run_info_tells():
    """Each with a byte for every cluster that its head counts; `RTAComplete.txt` comes last."""
    folder = content.run_folder(clusters=50)

    (read,) = ET.fromstring(folder["RunInfo.xml"]).iter("Read")
    calls = [data for path, data in folder.items() if path.endswith(".bcl")]
    assert len(set(calls)) == int(read.get("NumCycles")) == content.CYCLES
    assert {(*struct.unpack("<I", call[:4]), len(call) - 4) for call in calls} == {(50, 50)}
    assert list(folder)[-1] == content.RTA_COMPLETE
