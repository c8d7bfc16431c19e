# Builds the CPU addon, build/Release/octavo.node. CMakeLists.txt builds the same sources
# (csrc/sources.gypi, which is JSON, so that both can read it).
{
  'includes': ['csrc/sources.gypi'],
  'variables': {
    'portable_flags': ['-std=c++17', '-O3', '-ffp-contract=off', '-fvisibility=hidden', '-Wall', '-Wextra', '-Werror'],
    'avx2_flags': ['-mavx2', '-mfma', '-mf16c'],
    'avx_vnni_flags': ['<!@(node csrc/known_flags.cjs -mavxvnni)'],
    'avx512_flags': ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx512vnni'],
    'avx512_bf16_flags': ['<!@(node csrc/known_flags.cjs -mavx512bf16)'],
    'neon_dotprod_flags': ['<!@(node csrc/known_flags.cjs -march=armv8.2-a+dotprod)'],
    'neon_i8mm_flags': ['<!@(node csrc/known_flags.cjs -march=armv8.2-a+dotprod+i8mm)'],
  },
  'target_defaults': {
    'include_dirs': ['csrc'],
    'cflags!': ['-O2', '-O3', '-fno-exceptions', '-Wno-unused-parameter'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
    'cflags_cc': ['<@(portable_flags)'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'CLANG_CXX_LIBRARY': 'libc++',
      'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
      'GCC_ENABLE_CPP_RTTI': 'YES',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
      'OTHER_CPLUSPLUSFLAGS': ['<@(portable_flags)'],
    },
    'msvs_settings': {
      'VCCLCompilerTool': {
        'ExceptionHandling': 1,
        'RuntimeTypeInfo': 'true',
        'WarningLevel': 4,
        'WarnAsError': 'true',
        'AdditionalOptions': ['/std:c++17', '/O2', '/fp:precise', '/permissive-', '/utf-8'],
      },
    },
    'defines': ['_HAS_EXCEPTIONS=1', 'NOMINMAX', 'WIN32_LEAN_AND_MEAN', '_CRT_SECURE_NO_WARNINGS'],
  },
  'targets': [
    {
      'target_name': 'octavo_portable',
      'type': 'static_library',
      'sources': ['<@(cpu_portable_sources)'],
    },
    {
      'target_name': 'octavo_avx2',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="x64"', {
          'sources': ['<@(cpu_avx2_sources)'],
          'cflags_cc': ['<@(avx2_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(avx2_flags)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX2'] } },
        }],
      ],
    },
    {
      'target_name': 'octavo_avx_vnni',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="x64"', {
          'sources': ['<@(cpu_avx_vnni_sources)'],
          'cflags_cc': ['<@(avx2_flags)', '<@(avx_vnni_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(avx2_flags)', '<@(avx_vnni_flags)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX2'] } },
        }],
      ],
    },
    {
      'target_name': 'octavo_avx512',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="x64"', {
          'sources': ['<@(cpu_avx512_sources)'],
          'cflags_cc': ['<@(avx2_flags)', '<@(avx512_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(avx2_flags)', '<@(avx512_flags)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX512'] } },
        }],
      ],
    },
    {
      'target_name': 'octavo_avx512_bf16',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="x64"', {
          'sources': ['<@(cpu_avx512_bf16_sources)'],
          'cflags_cc': ['<@(avx2_flags)', '<@(avx512_flags)', '<@(avx512_bf16_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(avx2_flags)', '<@(avx512_flags)', '<@(avx512_bf16_flags)'] },
          'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['/arch:AVX512'] } },
        }],
      ],
    },
    {
      'target_name': 'octavo_neon_dotprod',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="arm64"', {
          'sources': ['<@(cpu_neon_dotprod_sources)'],
          'cflags_cc': ['<@(neon_dotprod_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(neon_dotprod_flags)'] },
        }],
      ],
    },
    {
      'target_name': 'octavo_neon_i8mm',
      'type': 'static_library',
      'conditions': [
        ['target_arch=="arm64"', {
          'sources': ['<@(cpu_neon_i8mm_sources)'],
          'cflags_cc': ['<@(neon_i8mm_flags)'],
          'xcode_settings': { 'OTHER_CPLUSPLUSFLAGS': ['<@(neon_i8mm_flags)'] },
        }],
      ],
    },
    {
      'target_name': 'octavo',
      'dependencies': [
        'octavo_portable',
        'octavo_avx2',
        'octavo_avx_vnni',
        'octavo_avx512',
        'octavo_avx512_bf16',
        'octavo_neon_dotprod',
        'octavo_neon_i8mm',
        "<!(node -p \"require('node-addon-api').targets\"):node_addon_api_except_all",
      ],
      'sources': ['<@(node_sources)', '<@(core_sources)', '<@(cpu_sources)', '<@(device_sources)'],
      'defines': [
        'NAPI_VERSION=9',
        'NODE_API_NO_EXTERNAL_BUFFERS_ALLOWED',
        # A worker that is terminated within a call has no exceptions any more: that is no reason to abort.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
    },
  ],
}
