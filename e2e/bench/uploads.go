package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/reelflow/reelflow/video"
)

const (
	uploadSize = 287_000_000
	chunkSize  = 8 << 20
	crowdSize  = 40 << 20
	crowd      = 20
	// scratchPrefix is where peers put things into the stores.
	scratchPrefix = "bench/"
)

// makeUpload writes a file of random bytes that begins like an MP4: large, good
// enough to be taken, and rejected without effort once it is there.
func (b *bench) makeUpload() (string, error) {
	path := filepath.Join(b.dir, "upload.mp4")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	const boxes = "\x00\x00\x00\x14ftypisom\x00\x00\x02\x00isom" // ISO/IEC 14496-12: a file type, then a box of media
	begin := append(binary.BigEndian.AppendUint32([]byte(boxes), uploadSize-uint32(len(boxes))), "mdat"...)
	_, err = io.Copy(file, io.MultiReader(bytes.NewReader(begin), io.LimitReader(rand.Reader, uploadSize-int64(len(begin)))))
	return path, errors.Join(err, file.Close())
}

// uploads measures a large upload beside the tool that puts it into the store
// directly, and beside the other tus server.
func (b *bench) uploads() error {
	path, err := b.makeUpload()
	if err != nil {
		return err
	}
	rival, err := b.startTusd()
	if err != nil {
		return err
	}
	defer rival.stop()
	gateway := process(b.Gateways[0].Pid())
	if err := gateway.resetPeak(); err != nil {
		return err
	}
	plain := &contestant{once: func() (time.Duration, error) { return b.putByS5cmd(path) }}
	here := func(chunk int64) *contestant { return b.uploader(path, b.tusURL(), gateway, chunk, b.eraseUpload) }
	there := func(chunk int64) *contestant {
		tidy := func(*http.Response) error { return b.tidyPeer(uploadSize) }
		return b.uploader(path, rival.endpoint, process(rival.cmd.Process.Pid), chunk, tidy)
	}
	one, chunks, rivalOne, rivalChunks := here(uploadSize), here(chunkSize), there(uploadSize), there(chunkSize)
	if err := b.compete(one, plain, rivalOne, chunks, rivalChunks); err != nil {
		return err
	}
	peak, err := gateway.peak()
	if err != nil {
		return err
	}
	against("upload of 287 MB, one PATCH", one, plain, 1.3, "peer: s5cmd cp into the same store, unsealed").print()
	against("upload of 287 MB, 8 MiB chunks", chunks, plain, 0, "peer: the same, which sends it in one go").print()
	against("upload of 287 MB, one PATCH", one, rivalOne, 1, "peer: tusd with its S3 store, same client, unsealed; "+processors(one, rivalOne)).print()
	against("upload of 287 MB, 8 MiB chunks", chunks, rivalChunks, 1.1, "peer: the same; "+processors(chunks, rivalChunks)).print()
	above := float64(peak-b.idle) / (1 << 20)
	row{what: "gateway memory above idle, these uploads", ours: fmt.Sprintf("%.0f MiB", above), aim: atMost(above, 128, " MiB"),
		note: fmt.Sprintf("peak resident %d MiB, idle %d MiB", peak>>20, b.idle>>20)}.print()
	return nil
}

func processors(ours, peer *contestant) string {
	return fmt.Sprintf("processor time of the server %s, of the peer %s", brief(ours.processor.median()), brief(peer.processor.median()))
}

// uploader sends the file to a tus server, from the POST to the last answer, and
// notes what that costs the server's processor.
func (b *bench) uploader(path, endpoint string, server process, chunk int64, tidy func(*http.Response) error) *contestant {
	c := &contestant{}
	c.once = func() (time.Duration, error) {
		before, err := server.processor()
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		made, err := tusUpload(b.ctx, endpoint, path, uploadSize, chunk)
		took := time.Since(begun)
		if err != nil {
			return 0, err
		}
		after, err := server.processor()
		if err != nil {
			return 0, err
		}
		c.processor = append(c.processor, after-before)
		return took, tidy(made)
	}
	return c
}

func (b *bench) eraseUpload(made *http.Response) error {
	id, err := video.ParseID(made.Header.Get("Reelflow-Video"))
	if err != nil {
		return err
	}
	return b.erase(id)
}

func (b *bench) putByS5cmd(path string) (time.Duration, error) {
	took, err := b.s5cmd("cp", path, "s3://"+b.places[0].bucket+"/"+scratchPrefix+"upload")
	if err != nil {
		return 0, err
	}
	return took, b.tidyPeer(uploadSize)
}

// tidyPeer removes what a peer has put, once it is clear that all of it was there.
func (b *bench) tidyPeer(atLeast int64) error {
	found, err := b.stores[0].Inventory(b.ctx, scratchPrefix, nil)
	if err != nil {
		return err
	}
	if found.Bytes < atLeast {
		return fmt.Errorf("the peer has stored %d of %d bytes", found.Bytes, atLeast)
	}
	return b.purge(scratchPrefix, b.stores[0])
}

// crowd measures the gateway's memory while many upload at once.
func (b *bench) crowd() error {
	path, err := b.makeUpload()
	if err != nil {
		return err
	}
	gateway := process(b.Gateways[0].Pid())
	if err := gateway.resetPeak(); err != nil {
		return err
	}
	ids := make([]video.ID, crowd)
	begun := time.Now()
	var group errgroup.Group
	for i := range ids {
		group.Go(func() (err error) {
			ids[i], err = b.sendChunks(path, crowdSize, crowdSize)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(begun)
	peak, err := gateway.peak()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := b.erase(id); err != nil {
			return err
		}
	}
	each := float64(peak-b.idle) / crowd / (1 << 20)
	row{what: fmt.Sprintf("gateway memory a upload, %d at once", crowd), ours: fmt.Sprintf("%.1f MiB", each), aim: atMost(each, 25, " MiB"),
		note: fmt.Sprintf("%d x %d MiB in %s; peak resident %d MiB, idle %d MiB", crowd, crowdSize>>20, brief(took), peak>>20, b.idle>>20)}.print()
	return nil
}
