package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/reelflow/reelflow/video"
)

// ledger keeps the records, a file each: ledger/pending/<hash>.json from the
// intent on, ledger/<hash>.json once the key is destroyed. Apart, because a
// start must find the few that are pending among the many that are not.
type ledger struct {
	dir  string
	disk *disk
}

func (l ledger) path(hash string) string    { return filepath.Join(l.dir, hash+".json") }
func (l ledger) pending(hash string) string { return filepath.Join(l.dir, "pending", hash+".json") }

// find returns the record of a video, if its destruction has begun. A record
// moves from pending to complete, so it must be looked for in this order.
func (l ledger) find(hash string) (Record, bool, error) {
	intent, pending, err := readRecord(l.pending(hash))
	if err != nil {
		return Record{}, false, err
	}
	record, complete, err := readRecord(l.path(hash))
	if err != nil || complete {
		return record, complete, err
	}
	return intent, pending, nil
}

// begin commits an intent. The caller holds the lock, and has found no record.
func (l ledger) begin(r Record) error { return l.write(l.pending(r.VideoSHA256), r) }

// sync makes a record durable that was found: whoever wrote it may have died
// before it was.
func (l ledger) sync() error {
	if err := l.disk.syncDir(filepath.Join(l.dir, "pending")); err != nil {
		return err
	}
	return l.disk.syncDir(l.dir)
}

// complete commits the record of a destroyed key. The caller holds the lock.
func (l ledger) complete(r Record) error {
	if err := l.write(l.path(r.VideoSHA256), r); err != nil {
		return err
	}
	return l.disk.remove(l.pending(r.VideoSHA256))
}

func (l ledger) write(path string, r Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return l.disk.replace(path, append(data, '\n'))
}

// all goes through the records. Those that move while it does are found once.
func (l ledger) all() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		pending := map[string]bool{}
		for hash, err := range hashes(filepath.Join(l.dir, "pending")) {
			if err != nil {
				yield(Record{}, err)
				return
			}
			pending[hash] = true
		}
		for hash, err := range hashes(l.dir) {
			delete(pending, hash)
			if !l.yield(hash, err, yield) {
				return
			}
		}
		for hash := range pending {
			if !l.yield(hash, nil, yield) {
				return
			}
		}
	}
}

// yield reports whether to go on.
func (l ledger) yield(hash string, err error, yield func(Record, error) bool) bool {
	if err != nil {
		yield(Record{}, err)
		return false
	}
	r, found, err := l.find(hash)
	if err == nil && !found {
		err = damaged(errors.New("record " + hash + " has vanished"))
	}
	return yield(r, err) && err == nil
}

// hashes lists the records in a directory, a thousand at a time.
func hashes(dir string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		d, err := os.Open(dir)
		if err != nil {
			yield("", err)
			return
		}
		defer d.Close() // only read
		for {
			entries, err := d.ReadDir(1000)
			for _, e := range entries {
				hash, isRecord := strings.CutSuffix(e.Name(), ".json")
				if isRecord && !yield(hash, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

func readRecord(path string) (r Record, found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, false, damaged(err)
	}
	return r, true, nil
}

// record makes the record of an intent.
func (i Intent) record() (Record, error) {
	if err := mustBeReason(i.Reason); err != nil {
		return Record{}, err
	}
	if len(i.TokenHash) > 0 && len(i.TokenHash) != sha256.Size {
		return Record{}, video.Errorf(video.Invalid, "The hash of an upload's token must be a SHA-256.")
	}
	if i.HiddenAt.IsZero() {
		i.HiddenAt = time.Now()
	}
	return Record{VideoSHA256: i.ID.Hash(), Reason: i.Reason, HiddenAt: inLedger(i.HiddenAt), TokenSHA256: hex.EncodeToString(i.TokenHash)}, nil
}

func mustBeReason(word string) error {
	if word == "" || len(word) > 32 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return video.Errorf(video.Invalid, "The reason of a deletion must be one lower-case word.")
	}
	return nil
}

// inLedger rounds a time to what every copy of the record can hold.
func inLedger(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
