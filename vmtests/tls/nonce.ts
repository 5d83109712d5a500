/** In what programs say to each other: where it is seen, they are overheard. */
export const NONCE = 'a-nonce-that-no-wire-may-carry';
