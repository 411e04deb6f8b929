package jobmanager

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
)

// TestInspectThisTest has the toolchain's own output as the reference.
func TestInspectThisTest(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e, err := inspect("this", f)
	if err != nil {
		t.Fatal(err)
	}
	if want := runtime.GOOS + "/" + runtime.GOARCH; e.platform != want {
		t.Errorf("platform %s, want %s", e.platform, want)
	}
}

func TestPlatformsAreCompared(t *testing.T) {
	e := executable{platform: "linux/arm64"}
	for _, ok := range [][]string{nil, {"linux/arm64"}, {"linux/amd64", "linux/arm64"}} {
		if err := e.checkPlatform("job", ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	err := e.checkPlatform("job", []string{"darwin/arm64", "linux/amd64"})
	if err == nil || !strings.Contains(err.Error(), "GOOS=darwin GOARCH=arm64") || !strings.Contains(err.Error(), "darwin/arm64 and linux/amd64") {
		t.Errorf("%v", err)
	}
	if err := (executable{}).checkPlatform("job", []string{"linux/amd64"}); err != nil {
		t.Errorf("an executable of any platform: %v", err)
	}
}

// FuzzInspect reads headers of any kind: none may do more than be refused.
func FuzzInspect(f *testing.F) {
	for _, seed := range []string{
		"", "#!/bin/sh", "\x7fELF", "\x7fELF\x02\x01\x01", "MZ", "MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00PE\x00\x00\x64\x86",
		"\xcf\xfa\xed\xfe\x0c\x00\x00\x01\x00\x00\x00\x00\x02\x00\x00\x00", "PK\x03\x04", "\x1f\x8b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		e, err := inspect("job", bytes.NewReader(content))
		if err == nil && !strings.Contains(e.platform, "/") {
			t.Errorf("platform %q", e.platform)
		}
		if err != nil && !strings.Contains(err.Error(), "job") {
			t.Errorf("%v does not name the file", err)
		}
	})
}
