package ids_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const text = "00112233445566778899aabbccddeeff"

var digits = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestJobIDPrintsAndParses(t *testing.T) {
	id := ids.JobID{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	if got := id.String(); got != text {
		t.Errorf("%q, want %q", got, text)
	}
	for _, s := range []string{text, strings.ToUpper(text)} {
		if got, err := ids.ParseJobID(s); err != nil || got != id {
			t.Errorf("ParseJobID(%q) = %v, %v", s, got, err)
		}
	}
}

func TestSessionIDPrintsAndParses(t *testing.T) {
	id, err := ids.ParseSessionID(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := id.String(); got != text {
		t.Errorf("%q, want %q", got, text)
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, s := range []string{"", "00", text + "00", text[:31], text[:31] + "g", text + " "} {
		_, err := ids.ParseJobID(s)
		if err == nil || !strings.Contains(err.Error(), "job id \""+s+"\": want 32 hexadecimal digits") {
			t.Errorf("ParseJobID(%q): %v", s, err)
		}
		_, err = ids.ParseSessionID(s)
		if err == nil || !strings.Contains(err.Error(), "session id \""+s+"\": want 32 hexadecimal digits") {
			t.Errorf("ParseSessionID(%q): %v", s, err)
		}
	}
}

func FuzzParseJobID(f *testing.F) {
	for _, s := range []string{"", text, strings.ToUpper(text), "zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ids.ParseJobID(s)
		if ok := digits.MatchString(strings.ToLower(s)) && len(s) == 32; ok != (err == nil) {
			t.Fatalf("ParseJobID(%q): %v", s, err)
		}
		if err == nil && id.String() != strings.ToLower(s) {
			t.Fatalf("%q became %q", s, id)
		}
	})
}

func TestNewIDsDiffer(t *testing.T) {
	jobs, sessions := map[ids.JobID]bool{}, map[ids.SessionID]bool{}
	for range 1000 {
		job, session := ids.NewJobID(), ids.NewSessionID()
		if !digits.MatchString(job.String()) || !digits.MatchString(session.String()) {
			t.Fatalf("job id %q, session id %q", job, session)
		}
		jobs[job], sessions[session] = true, true
	}
	if len(jobs) != 1000 || len(sessions) != 1000 {
		t.Errorf("of 1000 each, %d job ids and %d session ids are different", len(jobs), len(sessions))
	}
}

func TestSubtaskPrints(t *testing.T) {
	if got, want := (ids.Subtask{Vertex: 2, Index: 3}).String(), "vertex 2 subtask 3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
