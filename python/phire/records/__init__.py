"""Training records: samples drawn from fields into TFRecord files, and read as ``tf.data``.

Names are imported on first use, because writing and describing records needs no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "damage": ["find_damage", "naming_damage"],
        "records_description": ["are_bare_records", "describe_records"],
        "downscaling_records": ["write_downscaling_records"],
        "manifest": ["Manifest"],
        "pair_records": ["write_pair_records"],
        "records_opening": ["open_records"],
        "tfrecord_reading": ["Records"],
        "sampling_options": ["SamplingOptions"],
        "schema": ["SampleArray", "SampleSchema"],
    },
)
