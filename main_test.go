package weir_test

import (
	"os"
	"testing"

	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(asProgram); ok {
		beProgram(name)
	}
	leaktest.Main(m)
}
