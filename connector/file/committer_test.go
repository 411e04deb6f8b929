package file

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
)

// TestDiskIsFullWhenPreparing fills the disk at every byte: the checkpoint fails,
// nothing is visible or left, and the next attempt writes all.
func TestDiskIsFullWhenPreparing(t *testing.T) {
	lines := numbered(20)
	for space := int64(1); space < 200; space += 9 {
		dir := t.TempDir()
		sink := LinesSink(dir).RollSize(50)
		sink.storage = &troubled{space: space, log: new([]string)}
		w := recovered(t, sink, only)
		err := w.Write(lines)
		if err == nil {
			_, err = w.Prepare(1)
		}
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("with %d bytes: %v", space, err)
		}
		if _, err := w.Prepare(2); !errors.Is(err, errFull) {
			t.Fatalf("the next checkpoint: %v", err)
		}
		closed(t, w)
		if all, _ := names(t, dir); len(all) > 0 {
			t.Fatalf("with %d bytes: left are %q", space, all)
		}
		sink.storage = disk{}
		w = recovered(t, sink, only)
		if err := w.Commit(prepare(t, w, lines...)); err != nil {
			t.Fatal(err)
		}
		closed(t, w)
		expect(t, lines, dir)
	}
}

// failing is a disk that fails one kind of step, below or beside proofs.
type failing struct {
	disk
	create, rename, syncProofs, syncDir bool
}

func (f failing) Create(path string) (partFile, error) {
	if f.create && strings.Contains(path, proofs) {
		return nil, errFull
	}
	return f.disk.Create(path)
}

func (f failing) Rename(from, to string) error {
	if f.rename {
		return errFull
	}
	return f.disk.Rename(from, to)
}

func (f failing) SyncDir(path string) error {
	if inProofs := strings.HasSuffix(path, proofs); f.syncProofs && inProofs || f.syncDir && !inProofs {
		return errFull
	}
	return nil
}

// TestDiskIsFullWhenCommitting fails each step of a commit. What was prepared stays, and
// the next attempt commits it, once.
func TestDiskIsFullWhenCommitting(t *testing.T) {
	for _, f := range []failing{{create: true}, {rename: true}, {syncProofs: true}, {syncDir: true}} {
		dir, taken := t.TempDir(), t.TempDir()
		lines := numbered(20)
		sink := LinesSink(dir).RollSize(50)
		w := recovered(t, sink, only)
		d := prepare(t, w, lines...)
		w.(*writer[string]).dir.storage = f
		if err := w.Commit(d); !errors.Is(err, errFull) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("%+v: %v", f, err)
		}
		closed(t, w)
		if _, visible := names(t, dir); !f.syncDir && len(visible) > 0 {
			t.Fatalf("%+v: there are %q", f, visible)
		}
		take(t, dir, taken)
		closed(t, recovered(t, sink, only, d))
		expect(t, lines, dir, taken)
	}
}

// TestTwoJobsInOneDirectory has two jobs write to a directory, one of which fails at
// every step of its own and goes on, while the other has parts in every state.
func TestTwoJobsInOneDirectory(t *testing.T) {
	dir := t.TempDir()
	sink := LinesSink(dir).Append()
	one, two := recovered(t, sink, only), recovered(t, sink, only)
	first := prepare(t, one, "one: prepared")
	second := prepare(t, two, "two: prepared")
	if err := errors.Join(one.Write([]string{"one: given up"}), two.Write([]string{"two: begun"})); err != nil {
		t.Fatal(err)
	}
	if hidden := hiddenParts(t, dir); len(hidden) != 4 {
		t.Fatalf("there are %q", hidden)
	}
	closed(t, one)
	one = recovered(t, sink, only, first)
	last := prepare(t, one, "one: again")
	// The second dies, too; nobody holds its files now but its checkpoint.
	closed(t, two)
	closed(t, one)
	closed(t, recovered(t, sink, only, last))
	closed(t, recovered(t, sink, only))
	// A job that takes no checkpoints leaves them alone as well.
	if err := emit(t, sink, only, []string{"third"}, 1); err != nil {
		t.Fatal(err)
	}
	closed(t, recovered(t, sink, only, second))
	expect(t, []string{"one: again", "one: prepared", "third", "two: prepared"}, dir)
	if hidden := hiddenParts(t, dir); len(hidden) > 0 {
		t.Errorf("left are %q", hidden)
	}
}

// TestRunThatStillLives starts two jobs from one checkpoint: the second must not remove
// what the first, which is alive, writes and has prepared.
func TestRunThatStillLives(t *testing.T) {
	dir := t.TempDir()
	w := recovered(t, LinesSink(dir), only)
	start := prepare(t, w, "start")
	closed(t, w)
	one := recovered(t, LinesSink(dir), only, start)
	d := prepare(t, one, "one: prepared")
	if err := one.Write([]string{"one: begun"}); err != nil {
		t.Fatal(err)
	}
	two := recovered(t, LinesSink(dir), only, start)
	e, err := one.Prepare(2)
	if err := errors.Join(err, one.Commit(d), one.Commit(e), two.Commit(prepare(t, two, "two"))); err != nil {
		t.Fatal(err)
	}
	closed(t, one)
	closed(t, two)
	expect(t, []string{"one: begun", "one: prepared", "start", "two"}, dir)
}

// TestPartsOfAnEarlierJob begins jobs that take checkpoints in a directory with parts.
func TestPartsOfAnEarlierJob(t *testing.T) {
	for _, earlier := range []weir.Subtask{{Index: 0, Parallelism: 4}, {Index: 3, Parallelism: 4}} {
		dir := t.TempDir()
		w := recovered(t, LinesSink(dir), earlier)
		if err := w.Commit(prepare(t, w, "old")); err != nil {
			t.Fatal(err)
		}
		closed(t, w)
		refusing, err := LinesSink(dir).Open(t.Context(), weir.Subtask{Index: 0, Parallelism: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := refusing.(committing).Recover(nil); err == nil || !strings.Contains(err.Error(), "the directory holds parts of an earlier job") {
			t.Errorf("%+v: %v", earlier, err)
		}
		closed(t, refusing.(committing))
		// Any other may be new in a job that goes on, and leaves that job's parts alone.
		for i := 1; i < 5; i++ {
			closed(t, recovered(t, LinesSink(dir).Overwrite(), weir.Subtask{Index: i, Parallelism: 5}))
		}
		expect(t, []string{"old"}, dir)
		w = recovered(t, LinesSink(dir).Append(), only)
		d := prepare(t, w, "new")
		if err := w.Commit(d); err != nil {
			t.Fatal(err)
		}
		closed(t, w)
		expect(t, []string{"new", "old"}, dir)
		closed(t, recovered(t, LinesSink(dir).Overwrite(), only, d))
		expect(t, []string{"new", "old"}, dir)
		closed(t, recovered(t, LinesSink(dir).Overwrite(), only))
		expect(t, nil, dir)
	}
}

// TestRollingBetweenCheckpoints completes parts of their size and their age, which are
// not visible before the checkpoint.
func TestRollingBetweenCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := recovered(t, LinesSink(dir).RollSize(10).RollInterval(time.Minute), only)
		for _, line := range []string{"123456789", "a", "b"} {
			if err := w.Write([]string{line}); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * time.Minute)
			synctest.Wait()
		}
		if _, visible := names(t, dir); len(visible) > 0 {
			t.Errorf("there are %q before the checkpoint", visible)
		}
		d := prepare(t, w, "c")
		if err := w.Commit(d); err != nil {
			t.Fatal(err)
		}
		closed(t, w)
		if _, visible := names(t, dir); len(visible) != 4 || !strings.HasPrefix(visible[3], "part-00000-000003-") {
			t.Errorf("there are %q", visible)
		}
		expect(t, []string{"123456789", "a", "b", "c"}, dir)
	})
}

// TestRename expects no file to be replaced, whichever way files are renamed, and what
// a cut off renaming has left to be completed.
func TestRename(t *testing.T) {
	for name, rename := range map[string]func(from, to string) error{"as the system can": disk{}.Rename, "by links": linkNew} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		if err := os.WriteFile(from, []byte("ours"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rename(from, to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := rename(from, to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: no file: %v", name, err)
		}
		if err := os.WriteFile(from, []byte("other"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: another file: %v", name, err)
		}
		if content, err := os.ReadFile(to); string(content) != "ours" {
			t.Errorf("%s: %q, %v", name, content, err)
		}
		if err := errors.Join(os.Remove(from), os.Link(to, from), disk{}.Rename(from, to)); err != nil {
			t.Errorf("%s: the same file: %v", name, err)
		}
		if all, _ := names(t, dir); !slices.Equal(all, []string{"to"}) {
			t.Errorf("%s: left are %q", name, all)
		}
	}
}

// golden is a description as this version writes it, and must read for ever.
const golden = "0102040861626364656667680832333435363771720901087a7a7a7a7a7a7a7a01332e706172742d30303030322d3030303030382d61626364656667682d32333435363771722e6373762e696e70726f6772657373" +
	"27706172742d30303030322d3030303030382d61626364656667682d32333435363771722e637376ac020102030405060708"

func TestDescriptionBytes(t *testing.T) {
	final := "part-00002-000008-abcdefgh-234567qr.csv"
	d := description{
		subtask: 2, parallelism: 4, run: "abcdefgh", attempt: "234567qr", next: 9, inherited: []string{"zzzzzzzz"},
		parts: []prepared{{temporary: "." + final + ".inprogress", final: final, size: 300, digest: 0x0102030405060708}},
	}
	b := d.encode()
	if got := hex.EncodeToString(b); got != golden {
		t.Errorf("got  %s\nwant %s", got, golden)
	}
	got, err := decodeDescription(b)
	if err != nil || !reflect.DeepEqual(*got, d) {
		t.Errorf("got %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeDescription(b[:n]); err == nil {
			t.Errorf("%d bytes of %d: no error", n, len(b))
		}
	}
	if _, err := decodeDescription(append([]byte{2}, b[1:]...)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version: %v", err)
	}
	for _, name := range []string{"../part-00002-000008-abcdefgh-234567qr.c", "part-00003-000008-abcdefgh-234567qr.csv", "part-00002-000008-abcdefgg-234567qr.csv"} {
		d.parts[0].final, d.parts[0].temporary = name, hiddenName(name)
		if _, err := decodeDescription(d.encode()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDescription(f *testing.F) {
	seed, err := hex.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255, 15})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDescription(b)
		if err != nil {
			return
		}
		for _, p := range d.parts {
			if filepath.Base(p.final) != p.final || filepath.Base(p.temporary) != p.temporary {
				t.Fatalf("%+v", p)
			}
		}
		again, err := decodeDescription(d.encode())
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%+v, then %+v, %v", d, again, err)
		}
		if len(d.encode()) > len(b) || len(d.encode()) == len(b) && !bytes.Equal(d.encode(), b) {
			t.Fatalf("%x is encoded as %x", b, d.encode())
		}
	})
}
