import { tellChanges } from './break.ts';
import { changes } from './changes.ts';

tellChanges(changes.filter(({ way }) => way === 'place'));
