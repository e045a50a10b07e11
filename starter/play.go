package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"strings"

	"github.com/reelflow/reelflow/internal/client"
	"github.com/reelflow/reelflow/video"
)

// play watches the video as a player would: it fetches the playlists, the keys
// and the first segment of every rendition, decrypts it, and lets ffprobe read it.
func (d *demo) play(id video.ID) error {
	p, err := d.gateway.Playback(d.ctx, id)
	if err != nil {
		return err
	}
	// A player has nothing but the address.
	player, err := client.New(d.stack.URLs[0], "")
	if err != nil {
		return err
	}
	master, err := player.Fetch(d.ctx, p.HLS)
	if err != nil {
		return err
	}
	variants := uris(master)
	if len(variants) == 0 {
		return errors.New("the playlist names no rendition")
	}
	for _, variant := range variants {
		address, err := resolve(p.HLS, variant)
		if err != nil {
			return err
		}
		frames, err := playRendition(d.ctx, player, address)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "plays %s\n", frames)
	}
	return nil
}

// playRendition returns what ffprobe says of the first segment.
func playRendition(ctx context.Context, player *client.Client, address string) (string, error) {
	playlist, err := player.Fetch(ctx, address)
	if err != nil {
		return "", err
	}
	key, iv, err := firstKey(playlist)
	if err != nil {
		return "", err
	}
	segments := uris(playlist)
	if len(segments) == 0 {
		return "", errors.New("a rendition has no segments")
	}
	secret, err := fetchRelative(ctx, player, address, key)
	if err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	noise, err := fetchRelative(ctx, player, address, segments[0])
	if err != nil {
		return "", fmt.Errorf("segment: %w", err)
	}
	segment, err := decryptSegment(secret, iv, noise)
	if err != nil {
		return "", err
	}
	return probe(ctx, segment)
}

func fetchRelative(ctx context.Context, player *client.Client, base, reference string) ([]byte, error) {
	address, err := resolve(base, reference)
	if err != nil {
		return nil, err
	}
	return player.Fetch(ctx, address)
}

func resolve(base, reference string) (string, error) {
	from, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	to, err := from.Parse(reference)
	if err != nil {
		return "", err
	}
	return to.String(), nil
}

// uris are the lines of a playlist that are no tags (RFC 8216, section 4.1).
func uris(playlist []byte) []string {
	var found []string
	for lines := bufio.NewScanner(bytes.NewReader(playlist)); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
			found = append(found, line)
		}
	}
	return found
}

// firstKey reads the first EXT-X-KEY (RFC 8216, section 4.3.2.4).
func firstKey(playlist []byte) (uri string, iv []byte, err error) {
	_, rest, found := strings.Cut(string(playlist), "#EXT-X-KEY:")
	if !found {
		return "", nil, errors.New("a rendition is not encrypted")
	}
	line, _, _ := strings.Cut(rest, "\n")
	for attribute := range strings.SplitSeq(strings.TrimSpace(line), ",") {
		name, value, _ := strings.Cut(attribute, "=")
		switch name {
		case "URI":
			uri = strings.Trim(value, `"`)
		case "IV":
			if iv, err = hex.DecodeString(strings.TrimPrefix(strings.ToLower(value), "0x")); err != nil {
				return "", nil, err
			}
		}
	}
	if uri == "" || len(iv) != aes.BlockSize {
		return "", nil, errors.New("a playlist does not say with what it is encrypted")
	}
	return uri, iv, nil
}

// decryptSegment undoes METHOD=AES-128: CBC with PKCS #7 padding.
func decryptSegment(key, iv, noise []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if len(noise) == 0 || len(noise)%aes.BlockSize != 0 {
		return nil, errors.New("a segment is not made of whole blocks")
	}
	plain := make([]byte, len(noise))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, noise)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errors.New("a segment does not open with its key")
	}
	return plain[:len(plain)-padding], nil
}

// probe returns the streams of a segment in one line.
func probe(ctx context.Context, segment []byte) (string, error) {
	ffprobe := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-f", "mpegts",
		"-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-i", "pipe:0")
	ffprobe.Stdin = bytes.NewReader(segment)
	var complaint bytes.Buffer
	ffprobe.Stderr = &complaint
	out, err := ffprobe.Output()
	if err != nil {
		return "", fmt.Errorf("ffprobe can't read a segment: %w: %s", err, complaint.String())
	}
	streams := map[string]bool{}
	var said []string
	for line := range strings.Lines(string(out)) {
		// A program repeats its streams.
		if line = strings.Trim(line, ", \r\n"); line != "" && !streams[line] {
			streams[line] = true
			said = append(said, line)
		}
	}
	text := strings.Join(said, " ")
	if !strings.Contains(text, "h264") {
		return "", fmt.Errorf("a segment holds no picture, but %q", text)
	}
	return text, nil
}
