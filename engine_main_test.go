package weir

import (
	"io"
	"testing"

	"github.com/weirstream/weir/internal/leaktest"
)

var errEOF = io.EOF

func TestMain(m *testing.M) { leaktest.Main(m) }
