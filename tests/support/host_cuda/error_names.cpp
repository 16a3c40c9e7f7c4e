// What errors are called, as CUDA calls them.
#include "runtime_api.h"

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define HOST_CUDA_NAME(name) \
  case name:                 \
    return #name;
    HOST_CUDA_NAME(cudaSuccess)
    HOST_CUDA_NAME(cudaErrorInvalidValue)
    HOST_CUDA_NAME(cudaErrorMemoryAllocation)
    HOST_CUDA_NAME(cudaErrorInitializationError)
    HOST_CUDA_NAME(cudaErrorInvalidConfiguration)
    HOST_CUDA_NAME(cudaErrorInsufficientDriver)
    HOST_CUDA_NAME(cudaErrorDevicesUnavailable)
    HOST_CUDA_NAME(cudaErrorNoDevice)
    HOST_CUDA_NAME(cudaErrorInvalidDevice)
    HOST_CUDA_NAME(cudaErrorNoKernelImageForDevice)
    HOST_CUDA_NAME(cudaErrorECCUncorrectable)
    HOST_CUDA_NAME(cudaErrorInvalidResourceHandle)
    HOST_CUDA_NAME(cudaErrorNotReady)
    HOST_CUDA_NAME(cudaErrorIllegalAddress)
    HOST_CUDA_NAME(cudaErrorLaunchFailure)
    HOST_CUDA_NAME(cudaErrorCooperativeLaunchTooLarge)
    HOST_CUDA_NAME(cudaErrorNotSupported)
    HOST_CUDA_NAME(cudaErrorStreamCaptureUnsupported)
    HOST_CUDA_NAME(cudaErrorStreamCaptureInvalidated)
    HOST_CUDA_NAME(cudaErrorUnknown)
#undef HOST_CUDA_NAME
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorCooperativeLaunchTooLarge:
      return "too many blocks in cooperative launch";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    default:
      return cudaGetErrorName(error);
  }
}
