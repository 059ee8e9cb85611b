// Signs of the pages, drawn here: 24 by 24 units, strokes in the colour of the text beside them.

const paths = {
  plus: 'M12 5v14M5 12h14',
  menu: 'M4 6h16M4 12h16M4 18h16',
  close: 'M6 6l12 12M18 6L6 18',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M6 6h12v12H6z',
  retry: 'M20 11a8 8 0 1 0-2.3 5.7M20 5v6h-6',
  down: 'M12 5v14M6 13l6 6 6-6',
  right: 'M9 6l6 6-6 6',
  check: 'M5 13l4 4L19 7',
  alert: 'M12 4L2.5 20h19zM12 10v4M12 17v.5',
  offline: 'M3 3l18 18M8.5 15.5a5 5 0 0 1 7 0M5 12a10 10 0 0 1 4-2.4M19 12a10 10 0 0 0-6-2.9M12 19v.5',
  link: 'M5 15a10 10 0 0 1 14 0M8.5 17.5a5 5 0 0 1 7 0M12 20v.5M2 11.5a14 14 0 0 1 20 0',
  wait: 'M12 7v5l3 2M12 3a9 9 0 1 0 .01 0',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z',
  sun: 'M12 8a4 4 0 1 0 .01 0M12 2v2M12 20v2M4 12H2M22 12h-2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5',
  half: 'M12 3a9 9 0 1 0 .01 0M12 3v18M12 8h5M12 12h8M12 16h6',
  tool: 'M14.5 6.5a4 4 0 0 0-5.300 5L4 16.700 7.300 20l5.200-5.200a4 4 0 0 0 5-5.300l-2.5 2.5-3-3z',
  thought: 'M9 18h6M10 21h4M8.5 15a6 6 0 1 1 7 0v1h-7z',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  user: 'M12 4a4 4 0 1 0 .01 0M4.5 20a7.5 7.5 0 0 1 15 0',
  pin: 'M12 21s7-6 7-11a7 7 0 1 0-14 0c0 5 7 11 7 11zM12 8a2 2 0 1 0 .01 0',
} as const;

/** The names of all signs. */
export type IconName = keyof typeof paths;

/** A sign beside a word that says the same: never read aloud, never alone. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
