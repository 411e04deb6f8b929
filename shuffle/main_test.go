package shuffle_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/leaktest"
)

// peerRole, in the environment, makes the test binary the other process of a
// test that needs two.
const peerRole = "WEIR_SHUFFLE_TEST_PEER"

func TestMain(m *testing.M) {
	if role := os.Getenv(peerRole); role != "" {
		os.Exit(runPeer(role)) //nolint:forbidigo // this process is no test, but the peer of one
	}
	leaktest.Main(m)
}
