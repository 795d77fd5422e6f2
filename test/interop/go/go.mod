// Tests of ours with the official Go SDK, and with the official CLI built from the same module.
module rstream-engine-ce/interop

go 1.26.2

// The newest version that the module's public changelog names. There is no go.sum and no list of indirect
// requirements: the module could not be fetched where these tests were written. go-suite.ts runs `go mod tidy` on a
// copy before the tests; once a machine has both files, commit them and drop that step.
require github.com/rstreamlabs/rstream-go v1.29.3

tool github.com/rstreamlabs/rstream-go/cmd/rstream
