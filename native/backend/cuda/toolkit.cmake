# Decides whether libajet_cuda is built, and for which cards: sets AJET_CUDA_ARCHITECTURES (empty: not at all).
#   AJET_CUDA=OFF   never
#   AJET_CUDA=AUTO  where there are nvcc and a driver, for this machine's card
#   AJET_CUDA=ON    for all cards from compute capability 8.0 on; an error where nvcc is missing
# From -DAJET_CUDA=..., else from a file in the build folder: CMake writes the environment's choice to it at first, and
# scripts/choose-cuda.cjs where the environment changes it, since cmake-js configures only once.
set(AJET_CUDA_CHOICE_FILE ${CMAKE_BINARY_DIR}/cuda-choice)
if(NOT DEFINED CACHE{AJET_CUDA})
  if(NOT EXISTS ${AJET_CUDA_CHOICE_FILE})
    set(choice AUTO)
    if(DEFINED ENV{AJET_CUDA})
      set(choice $ENV{AJET_CUDA})
    endif()
    file(WRITE ${AJET_CUDA_CHOICE_FILE} "${choice}\n")
  endif()
  file(STRINGS ${AJET_CUDA_CHOICE_FILE} AJET_CUDA)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${AJET_CUDA_CHOICE_FILE})
endif()
if(NOT AJET_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "Expected AUTO, ON or OFF for AJET_CUDA but received \"${AJET_CUDA}\"")
endif()

# The card's own architecture; 9.0 has instructions that only code for 9.0 alone may use.
function(ajet_find_card out)
  set(${out} "" PARENT_SCOPE)
  find_program(AJET_NVIDIA_SMI nvidia-smi PATHS /usr/local/nvidia/bin)
  if(NOT AJET_NVIDIA_SMI)
    return()
  endif()
  execute_process(COMMAND ${AJET_NVIDIA_SMI} --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE capabilities ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" capabilities "${capabilities}")
  list(REMOVE_DUPLICATES capabilities)
  set(architectures "")
  foreach(capability ${capabilities})
    if(capability VERSION_LESS 8.0)
      continue()
    endif()
    string(REPLACE "." "" number ${capability})
    string(REGEX REPLACE "^90$" "90a" number ${number})
    list(APPEND architectures ${number}-real)
  endforeach()
  set(${out} ${architectures} PARENT_SCOPE)
endfunction()

set(AJET_CUDA_ARCHITECTURES "")
if(AJET_CUDA STREQUAL "ON")
  set(AJET_CUDA_ARCHITECTURES 80 90a-real 120-real)  # 80 with PTX, which newer cards translate
elseif(AJET_CUDA STREQUAL "AUTO")
  ajet_find_card(AJET_CUDA_ARCHITECTURES)
endif()

if(AJET_CUDA_ARCHITECTURES)
  include(CheckLanguage)
  # Toolkits do not put themselves on the PATH.
  find_program(AJET_NVCC nvcc PATHS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
  if(AJET_NVCC AND NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER ${AJET_NVCC})
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES ${AJET_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    # CMake 3.25 does not know that nvcc has C++20.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    # "80+, 90a, 120": + where newer cards translate the PTX.
    list(TRANSFORM AJET_CUDA_ARCHITECTURES REPLACE "^([0-9]+)$" "\\1+" OUTPUT_VARIABLE AJET_CUDA_ARCHITECTURES_TEXT)
    list(TRANSFORM AJET_CUDA_ARCHITECTURES_TEXT REPLACE "-real$" "")
    list(JOIN AJET_CUDA_ARCHITECTURES_TEXT ", " AJET_CUDA_ARCHITECTURES_TEXT)
    message(STATUS "CUDA: for ${AJET_CUDA_ARCHITECTURES_TEXT} with ${CMAKE_CUDA_COMPILER}")
  elseif(AJET_CUDA STREQUAL "ON")
    message(FATAL_ERROR "AJET_CUDA=ON needs nvcc on the PATH or in /usr/local/cuda/bin (or CUDACXX), and there is none")
  else()
    set(AJET_CUDA_ARCHITECTURES "")
    message(STATUS "CUDA: a card, but no nvcc to build for it")
  endif()
endif()

# A binary that opens libajet_cuda at run time finds it beside itself.
function(ajet_beside_cuda target)
  if(AJET_CUDA_ARCHITECTURES)
    add_dependencies(${target} ajet_cuda)
    add_custom_command(TARGET ${target} POST_BUILD VERBATIM COMMAND ${CMAKE_COMMAND} -E create_symlink
                       $<TARGET_FILE:ajet_cuda> $<TARGET_FILE_DIR:${target}>/$<TARGET_FILE_NAME:ajet_cuda>)
  endif()
endfunction()
