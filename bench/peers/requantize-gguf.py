"""python requantize-gguf.py FROM.gguf TO.gguf TYPE: the same model with its matrices as Q8_0, F16 or BF16,
so that engines can be compared at other widths. Needs the packages gguf and numpy."""
import os
import sys

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

source, target, name = sys.argv[1:4]
wanted = gguf.GGMLQuantizationType[name]
reader = gguf.GGUFReader(source)
writer = gguf.GGUFWriter(target + ".part", reader.fields["general.architecture"].contents())

for field in reader.fields.values():
    if field.name.startswith("GGUF.") or field.name == "general.architecture":
        continue
    if field.name == "general.file_type":
        writer.add_file_type(gguf.LlamaFileType["ALL_F32" if name == "F32" else f"MOSTLY_{name}"])
        continue
    inner = field.types[1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(field.name, field.contents(), field.types[0], inner)
for tensor in reader.tensors:
    if len(tensor.shape) == 1 or tensor.tensor_type == wanted:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        continue
    numbers = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    writer.add_tensor(tensor.name, quantize(numbers, wanted), raw_dtype=wanted)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
os.rename(target + ".part", target)
