"""Quantized networks for other programs: plain files for C and microcontrollers, ONNX for onnxruntime."""
