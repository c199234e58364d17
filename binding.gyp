# A shim, not a second build: CMake builds the addon (CMakeLists.txt), so that `node-gyp rebuild` gives the same
# native/build/Release/ajet.node as `npm run install`. The output is never made: CMake decides what is out of date.
{
  "targets": [
    {
      "target_name": "ajet_cmake",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake_js",
          "inputs": [],
          "outputs": ["native/build/always"],
          "action": [
            "node",
            "<!(node -p \"require.resolve('cmake-js/bin/cmake-js')\")",
            "compile",
            "--out",
            "native/build"
          ]
        }
      ]
    }
  ]
}
