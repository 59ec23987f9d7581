"""The words of the standard that the rules look for: classes, transfer syntaxes, image types, body parts."""

from pydicom import uid


def _terms(text: str) -> frozenset[str]:
    """Return the words of a block of text."""
    return frozenset(text.split())


ENHANCED_MR_CLASSES = frozenset(
    {uid.EnhancedMRImageStorage, uid.EnhancedMRColorImageStorage, uid.LegacyConvertedEnhancedMRImageStorage}
)
MR_IMAGE_CLASSES = ENHANCED_MR_CLASSES | {uid.MRImageStorage}
SECONDARY_CAPTURE = str(uid.SecondaryCaptureImageStorage)  # multi-frame captures add a component to it

# Transfer syntax -> the one pydicom plugin that may decode it. Named, because python-gdcm aborts the process on
# damaged input and pylibjpeg-rle raises a BaseException: whatever else is installed must not be chosen.
DECODING_PLUGINS: dict[str, str] = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pylibjpeg",
    uid.JPEGExtended12Bit: "pylibjpeg",
    uid.JPEGLossless: "pylibjpeg",
    uid.JPEGLosslessSV1: "pylibjpeg",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
}

# Below, words and terms are spelt as `kinds.spelt_alike` leaves them: letters and digits only.

MOSAIC_TERMS = _terms("MOSAIC VFRAME")  # Siemens, United Imaging
LOCALIZER_TERMS = _terms("LOCALIZER")

# What names a computed map, phase, projection or drawing instead of anatomy. DERIVED and SECONDARY are no reason:
# reformatted, averaged and anonymised originals say so too.
COMPUTED_TERMS = frozenset(
    {
        # phase and what is computed of it; IMAGINARY without magnitude shows nothing (C.8.13.3.1.1)
        *_terms("P PHASE PHASEMAP VELOCITY VELOCITYMAP I IMAGINARY B0 B0MAP B1 B1MAP FIELDMAP FLIPANGLEMAP"),
        # diffusion (C.8.13.1.1.1.4; Siemens, GE, Philips)
        *_terms("ADC EADC ADCMAP ADCUNSPECIFIED AVDC FA COLFA FAMAP FRACTANISO RELANISO VOLUMERATIO ANISO"),
        *_terms("DIFFUSIONANISO TENSOR TRACE TRACEW ISOTROPIC EXPONENTIAL"),
        # perfusion and activation (C.8.16.1.4)
        *_terms("CBF CBV MTT TTP TMAX PBP GBP RCBF RCBV RMTT RELCBF RELCBV RELMTT TTEST ZSCORE"),
        # other quantities
        *_terms("T1MAP T2MAP T2STARMAP R1MAP R2MAP R2STARMAP RHOMAP T0MAP FATFRACTION TEMPERATURE METABOLITEMAP"),
        *_terms("SPECTROSCOPY"),
        # one picture of others, pixel by pixel (C.8.16.1.4) or along rays (C.8.16.2.1.3)
        *_terms("SUBTRACTION SUB STDDEVIATION MAXIMUM MINIMUM MIP MAXIP MINIP MNIP CSAMIP PROJECTIONIMAGE"),
        *_terms("VOLUMERENDER SURFACERENDER VRT SSD CURVEDMPR"),
        # drawings and recordings that Siemens and GE store as images
        *_terms("POSDISP CSABLACKIMAGE SCREENSAVE RAWDATA PHYSIO"),
    }
)

# One picture of many at the same place; what is computed of them has a term of its own above.
TIME_SERIES_TERMS = _terms("FMRI PERFUSION PERFUSIONASL ASL")

# Words of a series' name that mean one thing wherever they stand. Masks exported as MR images carry the ImageType of
# what they were drawn on.
COMPUTED_WORDS = _terms("ROI SEGMENTATION LABELMAP TRACEW COLFA ANISOTROPY COEFFICIENT MINIP MNIP")
LOCALIZER_WORDS = _terms(
    """
    LOCALIZER LOCALIZERS LOCALISER LOCALISERS LOCALIZADOR LOCALIZZATORE LOKALIZER LOKALISER SCOUT SCOUTS AASCOUT
    AAHSCOUT AAHEADSCOUT AALSCOUT SURVEY
    """
)
PLANE_LOCALIZER = _terms("PLANE LOC")  # both, as in 3-Plane Loc
# These are also in the names of what was acquired for a map or a projection, and count where ImageType says DERIVED.
DERIVED_WORDS = _terms("ADC DADC EADC TRACE MIP MASK SUBTRACTION CBF CBV MTT TTP TMAX RCBF RCBV")
# These are also in the names of anatomy for a map of activation, and count where the readout is echo-planar.
TIME_SERIES_WORDS = _terms("FMRI BOLD PERFUSION PERF DSC ASL PASL PCASL")

# Defined terms of PS3.16 annex L and what scanners write for them that is certainly no head. NECK is missing on
# purpose: head and neck coils make it a common label of brain scans.
OTHER_BODY_PARTS = _terms(
    """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM AXILLA BACK BLADDER BREAST BUTTOCK CALF CERVICALSPINE CERVIX CHEST CLAVICLE
    COCCYX COLON CSPINE CTSPINE ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM FOREFOOT HAND HEART HIP HUMERUS KIDNEY KNEE
    LEG LIVER LOWERLEG LOWERLIMB LSPINE LSSPINE LUNG LUMBARSPINE MEDIASTINUM OVARY PANCREAS PELVIS PENIS PHANTOM
    PROSTATE RADIUS RECTUM RIB SCAPULA SCROTUM SHOULDER SIJOINT SPINE SPLEEN SSPINE STERNUM TESTIS THIGH THORACICSPINE
    THORAX TIBIA TLSPINE TOE TSPINE ULNA UPPERARM UPPERLIMB UTERUS VAGINA WHOLESPINE WRIST
    """
)
# Words of descriptions that name a part, in the languages of most scanners. HAND, FINGER, FOOT and LEG are missing on
# purpose, they are moved in functional scans of the brain; so are HIP, short for the hippocampus, and HEART and
# CARDIAC, which gate scans of the brain.
OTHER_PART_WORDS = _terms(
    """
    ABDOMEN ABDOMINAL ANKLE BREAST CERVICAL CSPINE ELBOW FEMUR FOREARM HUMERUS KIDNEY KNEE LIVER LSPINE LUMBAR MAMMA
    MRCP PANCREAS PELVIC PELVIS PROSTATE RECTUM SACRUM SHOULDER SPINE THORACIC THORAX TIBIA TSPINE UTERUS WRIST
    BECKEN BWS HWS KNIE LEBER LWS SCHULTER EPAULE GENOU HOMBRO RODILLA
    """
)
HEAD_WORDS = _terms(
    """
    BRAIN CEREBRAL CEREBRUM CRANIAL CRANIUM HEAD HEADNECK HYPOPHYSIS IAC NEURO ORBIT ORBITS PITUITARY SELLA SKULL
    CABEZA CEREBRO CERVEAU CRANE CRANEO CRANIO ENCEFALO ENCEPHALE HIRN HYPOPHYSE KOPF SCHAEDEL TETE
    """
)

GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
