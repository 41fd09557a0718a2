/*
 * Does to the files of one directory what a program that encrypts them does, for the showcase of files: simulator PATTERN BLOCK PAUSE SHARE
 *
 * It works in the current directory alone and below, and only if that has a file called .showcase, which the showcase makes in a
 * directory of its own. What it "encrypts" is copies of text that the showcase wrote; the key is in this file.
 *
 * PATTERN  copy       a file becomes NAME.locked, and is removed
 *          overwrite  a file is overwritten in place, and renamed to NAME.locked
 *          replace    the encrypted file is written beside it, and renamed over it
 * BLOCK    bytes read and written at a time, 512 to 1048576
 * PAUSE    microseconds between two files
 * SHARE    percent of each file that is encrypted; the rest is copied or left as it is
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH 16

static const char *pattern;
static long block, pause_us, share;
static unsigned char *buffer;

static void encrypt(unsigned char *data, ssize_t size)
{
	static uint64_t state = 0x9E3779B97F4A7C15;

	for (ssize_t at = 0; at < size; at++) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		data[at] ^= state;
	}
}

/* Returns 0 if all was written. */
static int pass(int from, int to, off_t size)
{
	off_t done = 0;
	ssize_t got;

	while ((got = read(from, buffer, block)) > 0) {
		if (from == to && lseek(to, -got, SEEK_CUR) < 0)
			return -1;
		if (done * 100 <= size * share)
			encrypt(buffer, got);
		else if (from == to)
			return 0;
		if (write(to, buffer, got) != got)
			return -1;
		done += got;
	}
	return got < 0 ? -1 : 0;
}

static void one_file(int directory, const char *name, off_t size)
{
	char other[300];
	int in_place = !strcmp(pattern, "overwrite"), from, to;

	snprintf(other, sizeof(other), "%.255s.locked", name);
	from = openat(directory, name, (in_place ? O_RDWR : O_RDONLY) | O_NOFOLLOW);
	if (from < 0)
		return;
	to = in_place ? from : openat(directory, other, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (to >= 0 && !pass(from, to, size)) {
		if (!strcmp(pattern, "copy"))
			unlinkat(directory, name, 0);
		else if (in_place)
			renameat(directory, name, directory, other);
		else
			renameat(directory, other, directory, name);
	}
	if (to >= 0 && to != from)
		close(to);
	close(from);
	if (pause_us)
		usleep(pause_us);
}

static void walk(int directory, int depth)
{
	DIR *listing = depth > DEPTH ? NULL : fdopendir(dup(directory));
	struct dirent *entry;
	char *names[4096];
	int count = 0;

	/* The names first: what is written meanwhile is not to be seen. */
	while (listing && count < 4096 && (entry = readdir(listing)))
		if (entry->d_name[0] != '.' && !strstr(entry->d_name, ".locked"))
			names[count++] = strdup(entry->d_name);
	if (listing)
		closedir(listing);
	for (int n = 0; n < count; n++) {
		struct stat about;

		if (!fstatat(directory, names[n], &about, AT_SYMLINK_NOFOLLOW)) {
			if (S_ISREG(about.st_mode)) {
				one_file(directory, names[n], about.st_size);
			} else if (S_ISDIR(about.st_mode)) {
				int below = openat(directory, names[n], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

				walk(below, depth + 1);
				close(below);
			}
		}
		free(names[n]);
	}
}

int main(int count, char **given)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);

	if (count != 5 || faccessat(here, ".showcase", F_OK, AT_SYMLINK_NOFOLLOW)) {
		fputs("simulator: not in a directory of the showcase\n", stderr);
		return 2;
	}
	pattern = given[1];
	block = atol(given[2]), pause_us = atol(given[3]), share = atol(given[4]);
	if (block < 512 || block > 1 << 20 || !(buffer = malloc(block)))
		return 2;
	walk(here, 0);
	return 0;
}
