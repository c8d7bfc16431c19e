/**
 * The kernels that a step's time is spent in, each by the instance that an 8B-shaped model in bfloat16 runs:
 * 4,096 columns, 32 query and 8 key/value heads of 128, 14,336 columns between, a vocabulary of 128,256.
 */
export const hotKernels = [
  {
    title: 'attention, decode',
    symbol: /tensor_attention6KernelINS1_6LayoutILi128ELi4ELi64ELb1EEE13__nv_bfloat16E/,
  },
  {
    title: 'attention, prefill',
    symbol: /tensor_attention6KernelINS1_6LayoutILi128ELi4ELi64ELb0EEE13__nv_bfloat16E/,
  },
  { title: 'linear, tensor cores', symbol: /tensor_linear6KernelI13__nv_bfloat16S\w*_E/ },
  { title: 'linear, 1 row', symbol: /FewRowsKernelI13__nv_bfloat16S\w*_Li1ELi8EE/ },
  { title: 'copy blocks', symbol: /CopyBlocksKernel/ },
  { title: 'sample', symbol: /12SampleKernel/ },
]
