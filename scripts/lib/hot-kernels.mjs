const heads = 32
const kvHeads = 8
const headDim = 128
const layers = 32
const blockSize = 16
const cols = 4096
const middle = 14336
const vocab = 128256
const sequences = 64
const context = 1024
const prompt = 2048
const latent = { heads: 16, keyDim: 576, columns: 576 + 512 } // columns: of a head's query and result
const element = 2 // bytes, of bfloat16

const linear = (rows) => ({
  bytes: element * (2 * middle * cols + rows * (cols + 2 * middle)),
  operations: 2 * rows * cols * 2 * middle,
})
// A row attends to half of the prompt in the mean; an operation each for scores and for values, twice.
const causal = (prompt / 2) * prompt * heads * headDim * 4

/**
 * The kernels that a step's time is spent in, each by the instance that an 8B-shaped model in bfloat16 runs (4,096
 * columns, 32 query and 8 key/value heads of 128, 14,336 columns between, a vocabulary of 128,256), with what such a
 * launch moves and computes, and the share of which roof it is designed for. test/native/launches.cc launches them.
 */
export const hotKernels = [
  {
    title: 'attention, decode',
    symbol: /tensor_attention6KernelINS1_6LayoutILi128ELi4ELi64ELb1ELb0EEE13__nv_bfloat16E/,
    shape: `${sequences} sequences of ${context}`,
    bytes: sequences * element * (2 * context * kvHeads * headDim + 2 * heads * headDim),
    operations: sequences * context * heads * headDim * 4,
    roof: '80 % of memory',
    why: 'each key and value is read once for the four heads that share it, by copies that run a tile ahead; a block has few tiles, so its start and its merge of warps are not hidden',
  },
  {
    title: 'attention, prefill',
    symbol: /tensor_attention6KernelINS1_6LayoutILi128ELi4ELi64ELb0ELb0EEE13__nv_bfloat16E/,
    shape: `a prompt of ${prompt}`,
    bytes: element * prompt * headDim * (2 * heads + 2 * kvHeads),
    operations: causal,
    roof: '35 % of arithmetic',
    why: 'mma.sync does not reach the rate of Hopper’s own wgmma, and the softmax runs between the products, not beside them',
  },
  {
    title: 'attention, latent',
    symbol: /latent_attention6KernelI13__nv_bfloat16E/,
    shape: `${sequences} sequences of ${context}`,
    bytes: sequences * element * (context * latent.keyDim + latent.heads * latent.columns),
    operations: sequences * context * latent.heads * latent.columns * 2,
    roof: '60 % of memory',
    why: '512 and 64 columns, 16 heads; each row is read once for all, as key and as value; two barriers and the softmax stand between the products of a tile, and the two blocks of a multiprocessor have to hide that for each other',
  },
  {
    title: 'linear, 1 row',
    symbol: /FewRowsKernelINS\w*_12NumberColumnI13__nv_bfloat16Li8EEELi1EE/,
    shape: `${cols} × ${2 * middle}`,
    ...linear(1),
    roof: '85 % of memory',
    why: 'a warp a column, four loads of 16 bytes a lane in flight, and every weight read once',
  },
  {
    title: 'linear, tensor cores',
    symbol: /tensor_linear6KernelI13__nv_bfloat16Lb0ENS\w*_10LinearArgsE/,
    shape: `${sequences} rows, ${cols} × ${2 * middle}`,
    ...linear(sequences),
    roof: '65 % of memory',
    why: 'three stages of copies hide the latency, but a grid of 128 columns a block ends with a part of the multiprocessors idle',
  },
  {
    title: 'copy blocks',
    symbol: /CopyBlocksKernel/,
    shape: `${sequences} blocks of ${layers} layers`,
    bytes: 2 * sequences * layers * kvHeads * 2 * headDim * blockSize * element,
    operations: 0,
    roof: '85 % of memory',
    why: 'four loads of 16 bytes a thread are in flight before its first store; reads and writes take turns on the memory’s bus',
  },
  {
    title: 'sample',
    symbol: /12SampleKernel/,
    shape: `${sequences} rows of ${vocab}, greedy`,
    bytes: sequences * vocab * 4,
    operations: 0,
    roof: '30 % of memory',
    why: `a block reads a row: ${sequences} rows keep half of the multiprocessors busy`,
  },
]
