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

# Values 3 and above of ImageType that name a computed map, phase or projection instead of anatomy: MR Image
# (PS3.3 C.8.3.1.1.1), Enhanced MR (C.8.13.1.1.1) and what Siemens, GE and Philips write. DERIVED\SECONDARY alone is
# no reason: reformats and anonymised originals say so too.
DERIVED_TYPES = _terms(
    """
    ADC EADC FA COLFA TRACE TRACEW TENSOR AVDC ISOTROPIC EXPONENTIAL FRACT_ANISO REL_ANISO VOLUME_RATIO ANISO
    DIFFUSION_ANISO ADC_UNSPECIFIED P PHASE VELOCITY B0 B1 FIELD_MAP CBF CBV MTT TTP TMAX PBP GBP RELCBF RELCBV RELMTT
    MIP MINIP SUBTRACTION T1_MAP T2_MAP T2_STAR_MAP R1_MAP R2_MAP R2_STAR_MAP PHASE_MAP ADC_MAP FA_MAP B0_MAP B1_MAP
    CSA_MIP MIN_IP PROJECTION_IMAGE MAX_IP
    """
)
# Masks exported as MR images carry the ImageType of what they were drawn on, and only the series name tells.
MASK_WORDS = frozenset({"ROI", "SEGMENTATION", "LABELMAP"})

# Defined terms of PS3.16 annex L that are certainly no head. NECK is missing on purpose: head and neck coils make
# it a common label of brain scans.
OTHER_BODY_PARTS = _terms(
    """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM AXILLA BACK BLADDER BREAST BUTTOCK CALF CERVIX CHEST CLAVICLE COCCYX COLON
    CSPINE CTSPINE ELBOW EXTREMITY FEMUR FINGER FOOT FOREARM FOREFOOT HAND HEART HIP HUMERUS KIDNEY KNEE LEG LIVER
    LOWERLEG LOWERLIMB LSPINE LSSPINE LUNG LUMBARSPINE MEDIASTINUM OVARY PANCREAS PELVIS PENIS PROSTATE RADIUS RECTUM
    RIB SCAPULA SCROTUM SHOULDER SIJOINT SPINE SPLEEN SSPINE STERNUM TESTIS THIGH THORAX TIBIA TLSPINE TOE TSPINE ULNA
    UPPERARM UPPERLIMB UTERUS VAGINA WRIST
    """
)

GREYSCALE = frozenset({"MONOCHROME1", "MONOCHROME2"})
