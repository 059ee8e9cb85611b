// The shared worker: holds the one socket of all tabs of this browser.

import { serve } from '@lychgate/client/worker';

serve();
